//! ufw's own record and the kernel's rules, read with one question.

use std::collections::BTreeMap;

use anyhow::bail;

use super::{Live, Rule};
use crate::remote::Output;

/// Asks for everything that is to be known; python would take longer than all other questions together.
pub const QUESTION: &str = r"grep -sHE '^(### tuple ### |-A ufw6?-user-(input|output|forward) |[A-Z0-9_]+=)' \
  /etc/ufw/user.rules /etc/ufw/user6.rules /etc/ufw/ufw.conf /etc/default/ufw || :
if [ -d /proc/sys/net/ipv6 ]; then echo has-ipv6; fi
if command -v iptables-save >/dev/null; then
  { iptables-save -t filter || echo '!iptables-save'
    if [ -d /proc/sys/net/ipv6 ]; then echo '*ipv6'; ip6tables-save -t filter || echo '!ip6tables-save'; fi
  } | grep -E '^([*!]|:(INPUT|OUTPUT|FORWARD) |-A (INPUT|OUTPUT|FORWARD|ufw6?-user-(input|output|forward)) |-A ufw6?-before-[a-z]+ -j ufw6?-user-)' || :
fi
";

/// What a host says of ufw and of the rules in force.
#[derive(Debug, Default)]
pub struct State {
    /// Settings of /etc/ufw/ufw.conf and /etc/default/ufw, without quotes.
    pub settings: BTreeMap<String, String>,
    /// The host speaks IPv6.
    pub has_v6: bool,
    /// IPv4.
    pub v4: Family,
    /// IPv6.
    pub v6: Family,
}

/// What there is for one address family.
#[derive(Debug, Default)]
pub struct Family {
    /// ufw's own record, in order.
    pub rules: Vec<Rule>,
    /// What the kernel has.
    pub live: Live,
    /// The chain of each rule for the kernel that the record holds.
    chains: Vec<String>,
}

impl State {
    /// Reads the answer to [`QUESTION`].
    ///
    /// # Errors
    /// When the kernel's rules cannot be read: nothing is known then.
    pub fn read(answer: &Output) -> anyhow::Result<Self> {
        let mut state = Self::default();
        let mut in_v6 = false;
        for line in answer.stdout.lines() {
            if let Some((path, line)) = line.split_once(':').filter(|_| line.starts_with("/etc/")) {
                state.recorded(path, line);
            } else if line == "has-ipv6" {
                state.has_v6 = true;
            } else if line.starts_with('*') {
                in_v6 = line == "*ipv6" || (in_v6 && line == "*filter");
            } else if let Some(program) = line.strip_prefix('!') {
                bail!("`{program} -t filter` fails: {}", answer.stderr.trim());
            } else {
                let family = if in_v6 { &mut state.v6 } else { &mut state.v4 };
                family.live.lines.push(line.to_owned());
            }
        }
        Ok(state)
    }

    fn recorded(&mut self, path: &str, line: &str) {
        let family = if path.ends_with("user6.rules") { &mut self.v6 } else { &mut self.v4 };
        if let Some(tuple) = line.strip_prefix("### tuple ### ") {
            family.rules.extend(Rule::read(tuple));
        } else if let Some(rule) = line.strip_prefix("-A ") {
            family.chains.push(rule.split(' ').next().unwrap_or_default().to_owned());
        } else if let Some((key, value)) = line.split_once('=') {
            let value = value.trim().trim_matches(['"', '\'']);
            self.settings.insert(key.to_owned(), value.to_owned());
        }
    }

    /// Whether the setting `key` has that value, in any case as ufw has it.
    #[must_use]
    pub fn is_set(&self, key: &str, value: &str) -> bool {
        self.settings.get(key).is_some_and(|set| set.eq_ignore_ascii_case(value))
    }

    /// Whether ufw is to be in force, also after a reboot.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.is_set("ENABLED", "yes")
    }

    /// The address families that the host has, each with the start of the names of ufw's chains.
    pub fn families(&self) -> impl Iterator<Item = (&Family, &'static str)> {
        [(&self.v4, "ufw"), (&self.v6, "ufw6")].into_iter().take(if self.has_v6 { 2 } else { 1 })
    }

    /// What of an enabled ufw is not in force.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let of = |(family, start): (&Family, &'static str)| {
            let recorded = |chain: &str| family.chains.iter().filter(|name| *name == chain).count();
            family.live.faults(start, recorded)
        };
        self.families().flat_map(of).collect()
    }

    /// Every rule once, in the order of `ufw show added`.
    #[must_use]
    pub fn rules(&self) -> Vec<&Rule> {
        let mut all: Vec<&Rule> = Vec::new();
        for rule in self.v4.rules.iter().chain(&self.v6.rules) {
            if !all.contains(&rule) {
                all.push(rule);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::{Output, State};

    const ANSWER: &str = "/etc/ufw/user.rules:### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in comment=6f6365616e69643a20737368\n\
        /etc/ufw/user.rules:-A ufw-user-input -p tcp --dport 22 -j ACCEPT\n\
        /etc/ufw/user6.rules:### tuple ### allow tcp 22 ::/0 any ::/0 in comment=6f6365616e69643a20737368\n\
        /etc/ufw/user6.rules:### tuple ### deny any any ::/0 any 2001:db8::/32 in\n\
        /etc/ufw/ufw.conf:ENABLED=yes\n/etc/default/ufw:DEFAULT_INPUT_POLICY=\"DROP\"\nhas-ipv6\n\
        *filter\n:INPUT DROP [0:0]\n-A INPUT -j REJECT\n*ipv6\n*filter\n:INPUT ACCEPT [0:0]\n";

    fn state(stdout: &str) -> anyhow::Result<State> {
        State::read(&Output { stdout: stdout.to_owned(), ..Output::default() })
    }

    #[test]
    fn the_record_and_the_kernels_rules_are_told_apart_by_family() {
        let state = state(ANSWER).expect("a whole answer");
        assert!(state.is_enabled() && state.is_set("DEFAULT_INPUT_POLICY", "drop"));
        assert_eq!((state.v4.rules.len(), state.v6.rules.len()), (1, 2));
        assert_eq!(state.v4.live.lines, [":INPUT DROP [0:0]", "-A INPUT -j REJECT"]);
        assert_eq!(state.v6.live.lines, [":INPUT ACCEPT [0:0]"]);
        let shown: Vec<String> = state.rules().iter().map(ToString::to_string).collect();
        let expected = ["ufw allow 22/tcp comment 'oceanid: ssh'", "ufw deny from 2001:db8::/32"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn rules_that_cannot_be_read_are_not_taken_for_none() {
        state("!iptables-save\n").expect_err("nothing is known");
    }
}
