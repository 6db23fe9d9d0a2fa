//! The host's packet filter: chains of our own, and the jumps into them from the kernel's.

use super::programs::{feed, run};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Seconds to wait for whoever else changes the tables.
const WAIT: [&str; 2] = ["-w", "5"];

/// A chain whose content is ours alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// `filter` or `nat`
    pub table: &'static str,
    /// Its name.
    pub name: String,
    /// What it holds, as `iptables-save` writes it after `-A NAME`.
    pub rules: Vec<String>,
}

/// A rule in one of the kernel's chains, which others have rules in too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// `filter` or `nat`
    pub table: &'static str,
    /// The chain that it stands in.
    pub from: &'static str,
    /// `-I`: before what is there; `-A`: behind it.
    pub verb: &'static str,
    /// What a packet must be.
    pub matches: &'static [&'static str],
    /// The comment that says whose it is; empty for none.
    pub comment: &'static str,
    /// The chain that it leads to.
    pub to: &'static str,
}

/// All that a node wants of its packet filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables {
    /// Our chains, table by table.
    pub chains: Vec<Chain>,
    /// The jumps, in the order in which they are ensured.
    pub jumps: Vec<Jump>,
}

impl Chain {
    /// Returns a chain with these rules.
    pub fn new(table: &'static str, name: impl Into<String>, rules: &[&str]) -> Self {
        let rules = rules.iter().map(|rule| (*rule).to_owned()).collect();
        Self { table, name: name.into(), rules }
    }
}

impl Tables {
    /// Brings the host's tables to what is wanted; `settled` is what they were afterwards the
    /// last time, so that tables that nobody touched cost one look.
    pub fn sync(&self, settled: &mut Option<(Self, String)>) -> anyhow::Result<()> {
        let present = saved()?;
        if let Some((wanted, text)) = settled
            && wanted == self
            && *text == present
        {
            return Ok(());
        }
        *settled = None;
        let mut arguments = WAIT.to_vec();
        arguments.push("--noflush");
        feed("iptables-restore", &arguments, &self.text(&present))?;
        for jump in &self.jumps {
            let rule = jump.arguments();
            let call = |verb: &str| {
                let mut all = WAIT.to_vec();
                all.extend(["-t", jump.table, verb, jump.from]);
                all.extend(&rule);
                run("iptables", &all)
            };
            if call("-C").is_err() {
                call(jump.verb)?;
            }
        }
        *settled = Some((self.clone(), saved()?));
        Ok(())
    }

    /// Returns what `iptables-restore` is given: our chains anew, without those of services
    /// that are gone.
    fn text(&self, present: &str) -> String {
        let mut text = String::new();
        let tables: BTreeSet<&str> = self.chains.iter().map(|chain| chain.table).collect();
        for table in tables {
            let ours: Vec<&Chain> =
                self.chains.iter().filter(|chain| chain.table == table).collect();
            let stale: Vec<&str> = service_chains(present, table)
                .filter(|name| !ours.iter().any(|chain| chain.name == *name))
                .collect();
            let _ = writeln!(text, "*{table}");
            for name in ours.iter().map(|chain| chain.name.as_str()).chain(stale.iter().copied()) {
                let _ = writeln!(text, ":{name} - [0:0]");
            }
            for chain in ours {
                for rule in &chain.rules {
                    let _ = writeln!(text, "-A {} {rule}", chain.name);
                }
            }
            for name in stale {
                let _ = writeln!(text, "-X {name}");
            }
            text.push_str("COMMIT\n");
        }
        text
    }
}

impl Jump {
    fn arguments(&self) -> Vec<&'static str> {
        let mut all = self.matches.to_vec();
        if !self.comment.is_empty() {
            all.extend(["-m", "comment", "--comment", self.comment]);
        }
        all.extend(["-j", self.to]);
        all
    }
}

/// Returns the tables as they are, without times and counters.
fn saved() -> anyhow::Result<String> {
    let text = run("iptables-save", &[])?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let plain = lines.map(|line| match line.split_once(" [") {
        Some((chain, _)) if line.starts_with(':') => chain,
        _ => line,
    });
    Ok(plain.fold(String::new(), |all, line| all + line + "\n"))
}

/// Returns the chains of services and their endpoints in a table.
fn service_chains<'a>(saved: &'a str, table: &str) -> impl Iterator<Item = &'a str> {
    let head = format!("*{table}");
    let lines = saved.lines().skip_while(move |line| *line != head).skip(1);
    let names = lines
        .take_while(|line| !line.starts_with('*'))
        .filter_map(|line| line.strip_prefix(':')?.split(' ').next());
    names.filter(|name| name.starts_with("KUBE-SVC-") || name.starts_with("KUBE-SEP-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_of_services_that_are_gone_are_removed() {
        let present = "*filter\n:KUBE-SVC-A -\nCOMMIT\n*nat\n:OUTPUT ACCEPT\n:KUBE-SVC-A -\n:KUBE-SEP-B -\n:MINE -\nCOMMIT\n";
        let tables = Tables {
            chains: vec![
                Chain::new("nat", "KUBE-SERVICES", &["-j KUBE-SVC-A"]),
                Chain::new("nat", "KUBE-SVC-A", &["-j RETURN"]),
            ],
            jumps: Vec::new(),
        };
        let text = "*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-SVC-A - [0:0]\n:KUBE-SEP-B - [0:0]\n-A KUBE-SERVICES -j KUBE-SVC-A\n-A KUBE-SVC-A -j RETURN\n-X KUBE-SEP-B\nCOMMIT\n";
        assert_eq!(tables.text(present), text);
    }

    #[test]
    fn a_jump_says_whose_it_is() {
        let jump = Jump {
            table: "filter",
            from: "FORWARD",
            verb: "-A",
            matches: &[],
            comment: "flanneld forward",
            to: "FLANNEL-FWD",
        };
        let words = ["-m", "comment", "--comment", "flanneld forward", "-j", "FLANNEL-FWD"];
        assert_eq!(jump.arguments(), words);
    }
}
