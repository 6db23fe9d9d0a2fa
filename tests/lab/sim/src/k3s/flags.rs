//! The flags of `k3s server` and `k3s agent`, and how a command line is read.

use std::collections::BTreeMap;
use std::env;

const TABLE: &str = include_str!("flags.txt");

/// What this node is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `k3s server`
    Server,
    /// `k3s agent`
    Agent,
}

impl Role {
    /// Returns the name of the subcommand.
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Agent => "agent",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    List,
    Switch,
}

#[derive(Debug, Clone, Copy)]
struct Flag {
    kind: Kind,
    name: &'static str,
    alias: Option<&'static str>,
    variable: Option<&'static str>,
}

/// The options in effect: command line over configuration file over environment.
#[derive(Debug, Default, Clone)]
pub struct Options {
    values: BTreeMap<&'static str, Vec<String>>,
    /// The effective arguments, as the annotation `k3s.io/node-args` lists them.
    pub arguments: Vec<String>,
}

impl Options {
    /// Returns the last value of the flag `name`.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.last().map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns every value of the repeatable flag `name`, commas split as k3s splits them.
    pub fn list(&self, name: &str) -> Vec<String> {
        let values = self.values.get(name).map(Vec::as_slice).unwrap_or_default();
        let split = !name.ends_with("-arg");
        values
            .iter()
            .flat_map(|value| if split { value.split(',').collect() } else { vec![value.as_str()] })
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty())
            .collect()
    }

    /// Says whether the switch `name` is on.
    pub fn on(&self, name: &str) -> bool {
        matches!(self.text(name), Some("true" | "1" | "t" | "T" | "TRUE" | "True"))
    }

    /// Returns the value of `key` among `name`'s `key=value` entries; the last one counts.
    pub fn component_argument(&self, name: &str, key: &str) -> Option<String> {
        let entries = self.list(name);
        let found =
            entries.iter().rev().find_map(|entry| entry.split_once('=').filter(|(k, _)| *k == key));
        found.map(|(_, value)| value.to_owned())
    }
}

/// Reads `arguments`, with the environment below them.
///
/// # Errors
/// The message that k3s prints after `Incorrect Usage: `.
pub fn parse(role: Role, arguments: &[String]) -> Result<Options, String> {
    let flags = table(role);
    let mut options = Options { arguments: arguments.to_vec(), ..Options::default() };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let Some(bare) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else {
            continue;
        };
        let (name, inline) = match bare.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (bare, None),
        };
        let flag = flags
            .iter()
            .find(|flag| flag.name == name || flag.alias == Some(name))
            .ok_or_else(|| format!("flag provided but not defined: -{name}"))?;
        let value = match (inline, flag.kind) {
            (Some(value), Kind::Switch) => switch_value(name, value)?,
            (Some(value), _) => value,
            (None, Kind::Switch) => "true".to_owned(),
            (None, _) => {
                rest.next().cloned().ok_or_else(|| format!("flag needs an argument: -{name}"))?
            }
        };
        options.values.entry(flag.name).or_default().push(value);
    }
    for flag in flags.iter().filter(|flag| flag.variable.is_some()) {
        let value = flag.variable.and_then(|variable| env::var(variable).ok());
        if let (Some(value), None) = (value, options.values.get(flag.name)) {
            options.values.insert(flag.name, vec![value]);
        }
    }
    Ok(options)
}

/// Says whether the flag `name` of `role` may be given more than once.
pub fn is_list(role: Role, name: &str) -> bool {
    table(role).iter().any(|flag| flag.name == name && flag.kind == Kind::List)
}

/// Returns the help text that follows a mistake.
pub fn help(role: Role) -> String {
    let what = match role {
        Role::Server => "Run management server",
        Role::Agent => "Run node agent",
    };
    let name = role.name();
    let mut text =
        format!("NAME:\n   k3s {name} - {what}\n\nUSAGE:\n   k3s {name} [OPTIONS]\n\nOPTIONS:\n");
    for flag in table(role) {
        let value = if flag.kind == Kind::Switch { "" } else { " value" };
        let variable = flag.variable.map(|name| format!(" [${name}]")).unwrap_or_default();
        text.push_str(&format!("   --{}{value}{variable}\n", flag.name));
    }
    text
}

fn switch_value(name: &str, value: String) -> Result<String, String> {
    match value.as_str() {
        "true" | "false" | "1" | "0" | "t" | "f" | "T" | "F" | "TRUE" | "FALSE" | "True"
        | "False" => Ok(value),
        _ => Err(format!(
            "invalid boolean value {value:?} for -{name}: strconv.ParseBool: parsing {value:?}: invalid syntax"
        )),
    }
}

fn table(role: Role) -> Vec<Flag> {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    rows.filter_map(|row| {
        let mut fields = row.split_whitespace();
        let whose = fields.next()?;
        let kind = match fields.next()? {
            "list" => Kind::List,
            "switch" => Kind::Switch,
            _ => Kind::Text,
        };
        let names = fields.next()?;
        let (name, alias) = match names.split_once(',') {
            Some((name, alias)) => (name, Some(alias)),
            None => (names, None),
        };
        let mine = whose == "both" || whose == role.name();
        mine.then_some(Flag { kind, name, alias, variable: fields.next() })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn an_unknown_flag_is_refused_by_name() {
        let refused = parse(Role::Agent, &words("--bogus-key=1")).unwrap_err();
        assert_eq!(refused, "flag provided but not defined: -bogus-key");
        assert!(parse(Role::Agent, &words("--cluster-init")).is_err(), "servers only");
    }

    #[test]
    fn the_last_value_wins_and_lists_gather() {
        let line = "--node-name a --node-name=b --node-label x=1,y=2 --node-label z=3 --debug";
        let options = parse(Role::Server, &words(line)).expect("all known");
        assert_eq!(options.text("node-name"), Some("b"));
        assert_eq!(options.list("node-label"), ["x=1", "y=2", "z=3"]);
        assert!(options.on("debug") && !options.on("cluster-init"));
    }

    #[test]
    fn arguments_of_components_keep_their_commas() {
        let line = "--kubelet-arg=eviction-hard=a<1,b<2 --kubelet-arg=v=2";
        let options = parse(Role::Agent, &words(line)).expect("all known");
        assert_eq!(options.list("kubelet-arg"), ["eviction-hard=a<1,b<2", "v=2"]);
        assert_eq!(options.component_argument("kubelet-arg", "v").as_deref(), Some("2"));
    }
}
