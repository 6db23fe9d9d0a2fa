//! What a first look asks beyond the facts: whose machine the host is, and what its image brings along.

use crate::script::Script;

/// What only matters to a proposal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// What systemd says it is virtualised by; none on bare metal.
    pub virtualised: Option<String>,
    /// The provider, where its machines say whose they are.
    pub provider: Option<&'static str>,
    /// Rules from before that reject all that they do not know, as Oracle's images bring them along.
    pub rejects: bool,
}

/// The question.
#[must_use]
pub fn script() -> Script {
    Script::new(ASK)
}

const ASK: &str = r#"say() { printf 'see %s %s\n' "$1" "$2"; }
first() { if read -r line 2>/dev/null <"$2"; then say "$1" "$line"; fi; }
first maker /sys/class/dmi/id/sys_vendor
first maker /sys/class/dmi/id/product_name
first maker /sys/class/dmi/id/chassis_asset_tag
say virtual "$(systemd-detect-virt)"
for file in /etc/iptables/rules.v4 /etc/iptables/rules.v6; do
  if [ -r "$file" ]; then
    while read -r rule; do
      case $rule in '-A INPUT -j REJECT'*) say rejects yes ;; esac
    done <"$file"
  fi
done
exit 0
"#;

/// What a provider's machines say of themselves.
const PROVIDERS: &[(&str, &str)] = &[
    ("OracleCloud", "oracle"),
    ("Hetzner", "hetzner"),
    ("DigitalOcean", "digitalocean"),
    ("Amazon EC2", "aws"),
    ("Google", "google"),
    ("7783-7084-3265-9085-8269-3286-77", "azure"),
    ("Scaleway", "scaleway"),
    ("Vultr", "vultr"),
    ("Linode", "linode"),
    ("Akamai", "linode"),
    ("Hostinger", "hostinger"),
];

impl Sight {
    /// Reads the answer.
    #[must_use]
    pub fn read(said: &str) -> Self {
        let mut sight = Self::default();
        for line in said.lines() {
            let Some((key, value)) =
                line.strip_prefix("see ").and_then(|line| line.split_once(' '))
            else {
                continue;
            };
            let value = value.trim();
            match key {
                "maker" => {
                    let found = PROVIDERS.iter().find(|(needle, _)| value.contains(needle));
                    sight.provider = sight.provider.or(found.map(|(_, name)| *name));
                }
                "virtual" if !["", "none"].contains(&value) => {
                    sight.virtualised = Some(value.to_owned());
                }
                "rejects" => sight.rejects = true,
                _ => {}
            }
        }
        sight
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{Sight, script};

    #[test]
    fn this_machine_answers_in_every_shell_and_without_complaint() {
        for shell in ["dash", "bash"] {
            let output =
                Command::new(shell).args(["-c", script().text()]).output().expect("it runs");
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains("see virtual "), "{shell}: {said}");
            assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell}");
            assert!(output.status.success(), "{shell}");
        }
    }

    #[test]
    fn what_a_host_says_is_read() {
        let said = "see maker QEMU\nsee maker OracleCloud.com\nsee virtual kvm\nsee rejects /etc/iptables/rules.v4\n";
        let oracle = Sight::read(said);
        assert_eq!((oracle.provider, oracle.rejects), (Some("oracle"), true));
        assert_eq!(oracle.virtualised.as_deref(), Some("kvm"));
        let home = Sight::read("see virtual none\n");
        assert_eq!((home.virtualised, home.provider), (None, None));
    }
}
