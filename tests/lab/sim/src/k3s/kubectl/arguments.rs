//! kubectl's command line.

/// Flags that stand alone; every other flag takes a value.
const SWITCHES: &[&str] = &[
    "overwrite",
    "no-headers",
    "show-labels",
    "ignore-not-found",
    "all-namespaces",
    "all",
    "force",
    "now",
    "client",
    "list",
    "local",
];

/// Flags that take a value.
const VALUES: &[&str] = &[
    "output",
    "namespace",
    "kubeconfig",
    "selector",
    "field-selector",
    "raw",
    "timeout",
    "for",
    "request-timeout",
    "context",
    "grace-period",
    "server-side",
    "sort-by",
    "label-columns",
    "v",
    "wait",
    "cascade",
    "dry-run",
    "field-manager",
    "resource-version",
];

/// A command line, taken apart.
#[derive(Debug, Default)]
pub struct Arguments {
    words: Vec<String>,
    flags: Vec<(String, String)>,
}

impl Arguments {
    /// Takes the words after `kubectl` apart.
    ///
    /// # Errors
    /// The line that kubectl prints for a flag that it does not know.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let mut parsed = Self::default();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            if word == "--" {
                parsed.words.extend(rest.by_ref().cloned());
            } else if let Some(long) = word.strip_prefix("--") {
                let (name, inline) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (long, None),
                };
                parsed.add(name, inline, &mut rest)?;
            } else if let Some(short) = word.strip_prefix('-').filter(|short| !short.is_empty()) {
                let mut letters = short.chars();
                let name = long_name(letters.next().unwrap_or_default())
                    .ok_or_else(|| format!("error: unknown shorthand flag in -{short}"))?;
                let inline = letters.as_str().trim_start_matches('=');
                let inline = (!inline.is_empty()).then(|| inline.to_owned());
                parsed.add(name, inline, &mut rest)?;
            } else {
                parsed.words.push(word.clone());
            }
        }
        Ok(parsed)
    }

    fn add<'a>(
        &mut self,
        name: &str,
        inline: Option<String>,
        rest: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(), String> {
        let value = match inline {
            Some(value) => value,
            None if SWITCHES.contains(&name) => "true".to_owned(),
            None if name == "wait" || name == "server-side" => "true".to_owned(),
            None => rest
                .next()
                .cloned()
                .ok_or_else(|| format!("error: flag needs an argument: --{name}"))?,
        };
        if !SWITCHES.contains(&name) && !VALUES.contains(&name) {
            return Err(format!("error: unknown flag: --{name}"));
        }
        self.flags.push((name.to_owned(), value));
        Ok(())
    }

    /// Returns the command: `get`.
    pub fn command(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// Returns the words after the command.
    pub fn operands(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// Returns a flag's last value; none where it was not given or is `false`.
    pub fn flag(&self, name: &str) -> Option<&str> {
        let found = self.flags.iter().rev().find(|(flag, _)| flag == name)?;
        Some(found.1.as_str()).filter(|value| *value != "false")
    }
}

fn long_name(letter: char) -> Option<&'static str> {
    Some(match letter {
        'o' => "output",
        'n' => "namespace",
        'l' => "selector",
        'A' => "all-namespaces",
        'L' => "label-columns",
        'v' => "v",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_operands_may_mix() {
        let words =
            ["get", "-ojson", "nodes", "--no-headers", "-n", "x", "styx"].map(str::to_owned);
        let parsed = Arguments::parse(&words).expect("all known");
        assert_eq!(parsed.command(), "get");
        assert_eq!(parsed.operands(), ["nodes", "styx"]);
        assert_eq!((parsed.flag("output"), parsed.flag("namespace")), (Some("json"), Some("x")));
        assert!(Arguments::parse(&["--bogus=1".to_owned()]).is_err());
    }
}
