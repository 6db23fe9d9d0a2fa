//! What the kernel has, by `iptables-save`: whether ufw's rules are really in force.

/// The rules of one address family that the kernel has in the table `filter`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// Lines such as `:INPUT DROP [0:0]` and `-A INPUT -j ufw-before-input`.
    pub lines: Vec<String>,
}

/// Chain, what ufw wants its policy to be, and the ending of ufw's own chains for it.
const BUILTIN: [(&str, &str, &str); 3] =
    [("INPUT", "DROP", "input"), ("OUTPUT", "ACCEPT", "output"), ("FORWARD", "DROP", "forward")];

impl Live {
    /// The rules of `chain`, as `iptables-save` writes them: `-A INPUT -j REJECT`.
    pub fn of<'a>(&'a self, chain: &'a str) -> impl Iterator<Item = &'a str> {
        let of_chain = move |line: &&str| {
            line.strip_prefix("-A ").and_then(|rest| rest.split(' ').next()) == Some(chain)
        };
        self.lines.iter().map(String::as_str).filter(of_chain)
    }

    /// What of an enabled ufw is not in force; `start` begins its chains' names, `recorded` counts rules on disk.
    #[must_use]
    pub fn faults(&self, start: &str, recorded: impl Fn(&str) -> usize) -> Vec<String> {
        let mut faults = Vec::new();
        for (chain, policy, end) in BUILTIN {
            if !self.lines.iter().any(|line| line.starts_with(&format!(":{chain} {policy} "))) {
                faults.push(format!("the policy of {chain} is not {policy}"));
            }
            let (before, user) = (format!("{start}-before-{end}"), format!("{start}-user-{end}"));
            for (from, to) in [(chain, &before), (before.as_str(), &user)] {
                let jump = format!("-A {from} -j {to}");
                if !self.lines.contains(&jump) {
                    faults.push(format!("{from} does not lead to {to}"));
                }
            }
            let (live, recorded) = (self.of(&user).count(), recorded(&user));
            if live != recorded {
                faults.push(format!("{user} has {live} rules, ufw's record {recorded}"));
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::Live;

    fn live() -> Live {
        let text = ":INPUT DROP [0:0]\n:FORWARD DROP [9:0]\n:OUTPUT ACCEPT [0:0]\n\
            -A INPUT -j ufw-before-input\n-A OUTPUT -j ufw-before-output\n-A FORWARD -j ufw-before-forward\n\
            -A ufw-before-input -j ufw-user-input\n-A ufw-before-output -j ufw-user-output\n\
            -A ufw-before-forward -j ufw-user-forward\n-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT";
        Live { lines: text.lines().map(str::to_owned).collect() }
    }

    fn recorded(chain: &str) -> usize {
        usize::from(chain == "ufw-user-input")
    }

    #[test]
    fn rules_that_somebody_flushed_are_a_fault() {
        assert_eq!(live().faults("ufw", recorded), Vec::<String>::new());
        for index in 0..live().lines.len() {
            let mut flushed = live();
            flushed.lines.remove(index);
            assert_eq!(flushed.faults("ufw", recorded).len(), 1, "without line {index}");
        }
        assert_eq!(Live::default().faults("ufw", recorded).len(), 10);
    }
}
