//! A k3s that upstream's installer laid down: whether it runs with our settings already.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::Value;

use super::{File, secret_keys};
use crate::action::Question;
use crate::remote::Output;
use crate::script::quote;
use crate::secret;

/// What is said of a config.yaml that is not read for this reason.
const SECRET: &str = "config.yaml holds a secret";

/// What a unit of k3s must run with for it to be taken over as it is.
#[derive(Debug, Clone)]
pub struct Adopt {
    unit: String,
    role: &'static str,
    config: File,
    /// The lines of the unit's environment file, sorted.
    environment: String,
}

/// What became of a look at a unit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is ours, or there is none that runs.
    NotForeign,
    /// It runs with exactly our settings.
    Same,
    /// It runs with others: where they stand, never what they are.
    Other(Vec<String>),
}

impl Adopt {
    /// `unit`, run as `role`, with the settings in `config` and the variables in `environment`.
    #[must_use]
    pub fn new(
        unit: impl Into<String>,
        role: &'static str,
        config: &File,
        environment: &[String],
    ) -> Self {
        let mut lines = environment.to_vec();
        lines.sort_unstable();
        // `sort` ends every line.
        lines.push(String::new());
        let environment = if environment.is_empty() { String::new() } else { lines.join("\n") };
        Self { unit: unit.into(), role, config: config.clone(), environment }
    }

    /// Whether what stands at `path` is compared by its meaning, or does not matter.
    pub(super) fn covers(&self, path: &str) -> bool {
        path == self.config.path() || path.strip_suffix(".env").unwrap_or(path) == self.unit_path()
    }

    fn unit_path(&self) -> String {
        format!("/etc/systemd/system/{}", self.unit)
    }

    /// Asks nothing of a unit that is ours. No value of a secret leaves the host.
    ///
    /// k3s hides its arguments from `/proc`, so they are read where systemd has them.
    pub(super) fn question(&self) -> Question {
        Question::Script(format!(
            r#"unit={unit} file={file} config={config} role={role}
[ -r "$file" ] && [ ! -e "/var/lib/oceanid/units/$unit" ] || exit 0
read -r line <"$file" || :
case $line in '# Laid down by oceanid'*) exit 0 ;; esac
show() {{ systemctl show -p "$1" --value -- "$unit"; }}
[ "$(show ActiveState)" = active ] || exit 0
process=$(show MainPID)
[ -r "/proc/$process/environ" ] || exit 0
printf 'foreign\n'
words=$(show ExecStart)
words=${{words#*argv\[\]=}}
set -f
# shellcheck disable=SC2086
set -- ${{words%% ; ignore_errors=*}}
set +f
if [ "${{1-}} ${{2-}}" != "/usr/local/bin/k3s $role" ]; then printf 'other its command is not /usr/local/bin/k3s %s\n' "$role"; fi
for word in "$@"; do
  case $word in -*) printf 'other `%s` stands in the unit\n' "${{word%%=*}}" ;; esac
done
drop=$(show DropInPaths)
if [ -n "$drop" ]; then printf 'other %s changes the unit\n' "$drop"; fi
begun=$(date -d "$(show ExecMainStartTimestamp)" +%s)
for one in "$file" "$config" "$config".d/* /usr/local/bin/k3s; do
  if [ -e "$one" ] && [ "$(stat -c %Z -- "$one")" -gt "$begun" ]; then
    printf 'other %s changed since it was started\n' "$one"
  fi
done
variables=$(tr '\0' '\n' <"/proc/$process/environ")
printf '%s\n' "$variables" | sed -n 's/^\(K3S_[A-Z0-9_]*\|CONTAINERD_[A-Z0-9_]*\)=.*/\1/p' | while read -r name; do
  # k3s itself sets it when it unpacks itself.
  if [ "$name" != K3S_DATA_DIR ]; then printf 'other `%s` stands in its environment\n' "$name"; fi
done
proxy=$(printf '%s\n' "$variables" | grep -E '^(HTTP|HTTPS|NO)_PROXY=' | sort | sha256sum)
printf 'proxy %s\n' "${{proxy%% *}}"
[ -e "$config" ] || exit 0
if {secrets}; then printf 'other %s\n' {secret}
else printf 'config\n'; cat -- "$config"; fi
"#,
            unit = quote(&self.unit),
            file = quote(&self.unit_path()),
            config = quote(self.config.path()),
            role = self.role,
            secrets = secret_keys::test(),
            secret = quote(SECRET),
        ))
    }

    /// Compares what the unit runs with to what it should.
    pub(super) fn verdict(&self, seen: &Output) -> anyhow::Result<Verdict> {
        let (said, config) = seen.stdout.split_once("\nconfig\n").unwrap_or((&seen.stdout, ""));
        let mut lines = said.lines();
        if lines.next() != Some("foreign") {
            return Ok(Verdict::NotForeign);
        }
        let mut others = Vec::new();
        let wanted = secret::sha256(self.environment.as_bytes());
        for line in lines {
            match line.split_once(' ') {
                Some(("other", what)) => others.push(what.to_owned()),
                Some(("proxy", sum)) if sum != wanted => {
                    others.push(String::from("its proxy is another"));
                }
                _ => {}
            }
        }
        let Some(text) = self.config.text() else {
            others.push(String::from("its config.yaml is not known yet"));
            return Ok(Verdict::Other(others));
        };
        if others.iter().any(|other| other == SECRET) {
            return Ok(Verdict::Other(others));
        }
        let ours = settings(text)?;
        match settings(config) {
            Ok(theirs) => others.extend(differing(&ours, &theirs)),
            Err(_) => others.push(String::from("its config.yaml cannot be read")),
        }
        Ok(if others.is_empty() { Verdict::Same } else { Verdict::Other(others) })
    }
}

fn differing(
    ours: &BTreeMap<String, Vec<String>>,
    theirs: &BTreeMap<String, Vec<String>>,
) -> Option<String> {
    let all = ours.keys().chain(theirs.keys()).collect::<std::collections::BTreeSet<_>>();
    let other = all.into_iter().filter(|key| ours.get(*key) != theirs.get(*key));
    let names: Vec<String> = other.map(|key| format!("`{key}`")).collect();
    (!names.is_empty()).then(|| format!("config.yaml differs in {}", names.join(", ")))
}

/// The settings of a config.yaml as k3s takes them: a list of one is that one.
pub(super) fn settings(yaml: &str) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    if yaml.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(BTreeMap::new());
    }
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    let map: BTreeMap<String, Value> =
        serde_saphyr::from_str_with_options(yaml, options).context("config.yaml is not a map")?;
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let list = |value| match value {
        Value::Array(values) => values.into_iter().map(text).collect(),
        other => vec![text(other)],
    };
    Ok(map.into_iter().map(|(key, value)| (key, list(value))).collect())
}

#[cfg(test)]
mod tests {
    use super::{Adopt, File, Output, Verdict};

    const OURS: &str = "# ours\ndisable:\n- traefik\nwrite-kubeconfig-mode: \"0600\"\n";

    fn verdict(said: &str) -> Verdict {
        let config = File::new("/etc/rancher/k3s/config.yaml", OURS);
        let adopt = Adopt::new("k3s.service", "server", &config, &[]);
        let none = crate::secret::sha256(b"");
        let stdout = said.replace("NONE", &none);
        adopt.verdict(&Output { stdout, ..Output::default() }).expect("ours is YAML")
    }

    #[test]
    fn the_same_settings_in_other_words_are_the_same() {
        let same = "foreign\nproxy NONE\nconfig\nwrite-kubeconfig-mode: '0600'\ndisable: traefik\n";
        assert_eq!(verdict(same), Verdict::Same);
        assert_eq!(verdict(""), Verdict::NotForeign);
    }

    #[test]
    fn what_is_otherwise_is_named_and_not_shown() {
        let other = "foreign\nother `--disable` stands in the unit\nproxy 0\nconfig\n\
                     write-kubeconfig-mode: 0600\nnode-ip: 192.0.2.1\n";
        let Verdict::Other(why) = verdict(other) else { panic!("it is not the same") };
        assert_eq!(
            why,
            [
                "`--disable` stands in the unit",
                "its proxy is another",
                "config.yaml differs in `disable`, `node-ip`, `write-kubeconfig-mode`",
            ]
        );
        let secret = "foreign\nproxy NONE\nother config.yaml holds a secret\n";
        assert!(matches!(verdict(secret), Verdict::Other(_)));
    }
}
