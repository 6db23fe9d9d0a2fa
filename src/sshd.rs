//! What sshd is told: keys only, little to forward, and algorithms without a known fault.

use anyhow::bail;

use crate::facts;
use crate::templates::{SshdConf, render};

pub use self::algorithms::Algorithms;

mod algorithms;

/// The drop-in that sorts before those of cloud-init and of people: sshd keeps the first value that it reads.
pub const DROP_IN: &str = "/etc/ssh/sshd_config.d/00-oceanid.conf";

/// What the whole is about; `harden.sshd` has no say in it.
const KEYS_ONLY: &[(&str, &str)] = &[
    ("PubkeyAuthentication", "yes"),
    ("PasswordAuthentication", "no"),
    ("KbdInteractiveAuthentication", "no"),
    ("HostbasedAuthentication", "no"),
    ("PermitEmptyPasswords", "no"),
];

/// Not here: `MaxAuthTries`, which agents with many keys run into, and `MaxStartups`, `MaxSessions` and `Port`.
const FIXED: &[(&str, &[(&str, &str)])] = &[
    ("Whoever comes in has a key.", KEYS_ONLY),
    ("So has root.", &[("PermitRootLogin", "prohibit-password")]),
    (
        "Other hosts can be reached through this one; nothing else is passed on.",
        &[
            ("AllowTcpForwarding", "local"),
            ("AllowAgentForwarding", "no"),
            ("X11Forwarding", "no"),
            ("PermitTunnel", "no"),
            ("GatewayPorts", "no"),
            ("PermitUserEnvironment", "no"),
        ],
    ),
    (
        "Who does not log in, or is gone, does not stay.",
        &[
            ("LoginGraceTime", "30"),
            ("ClientAliveInterval", "300"),
            ("ClientAliveCountMax", "2"),
            ("TCPKeepAlive", "no"),
        ],
    ),
    (
        "The log tells which key came in; nothing is told to strangers.",
        &[("LogLevel", "VERBOSE"), ("DebianBanner", "no"), ("UseDNS", "no"), ("Compression", "no")],
    ),
];

/// What stays `no` where it is: ours would be wider.
const STRICTER: &[&str] = &["PermitRootLogin", "AllowTcpForwarding"];

/// What the cluster itself needs to be forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarding {
    /// Jumps to other hosts.
    Jumps,
    /// Also ports of this host that lead back to a node, which opened them from behind its NAT.
    Tunnels,
}

/// Some settings, and why they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// One sentence for whoever reads the file.
    pub why: &'static str,
    /// Keywords and values, as they are written.
    pub settings: Vec<(&'static str, String)>,
}

/// All that the drop-in says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    sections: Vec<Section>,
    /// The operator's own lines.
    further: Vec<String>,
}

impl Settings {
    /// What `sshd` can be told of it. A keyword of `further` takes the place of ours; `exempt` are
    /// networks whose failed logins are not held against them.
    ///
    /// # Errors
    /// When we could not log in with it, or when `further` says who may come in without a key.
    pub fn tight(
        sshd: &facts::Sshd,
        further: &[String],
        exempt: &[String],
        forwarding: Forwarding,
    ) -> anyhow::Result<Self> {
        let theirs: Vec<&str> = further.iter().filter_map(|line| keyword(line)).collect();
        if let Some((firm, _)) = KEYS_ONLY.iter().find(|(firm, _)| named(&theirs, firm)) {
            bail!(
                "`{firm}` stands in `harden.sshd`, but that only keys let in is what the step is about\n\
                 hint: take it out, or leave sshd alone with `harden.ssh = false`"
            );
        }
        let mut sections: Vec<Section> = FIXED.iter().map(fixed).collect();
        sections.push(algorithms(&Algorithms::shared(sshd)?));
        if !exempt.is_empty() {
            sections.push(Section {
                why: "The operator is never shut out.",
                settings: vec![("PerSourcePenaltyExemptList", exempt.join(","))],
            });
        }
        for (keyword, value) in sections.iter_mut().flat_map(|section| &mut section.settings) {
            if STRICTER.contains(keyword) && says_no(sshd, keyword) {
                "no".clone_into(value);
            } else if (*keyword, forwarding) == ("AllowTcpForwarding", Forwarding::Tunnels) {
                "yes".clone_into(value);
            }
        }
        for section in &mut sections {
            section.settings.retain(|(keyword, _)| {
                sshd.value(&keyword.to_ascii_lowercase()).is_some() && !named(&theirs, keyword)
            });
        }
        sections.retain(|section| !section.settings.is_empty());
        Ok(Self { sections, further: further.to_vec() })
    }

    /// The drop-in's text.
    ///
    /// # Errors
    /// When its template fails.
    pub fn render(&self) -> anyhow::Result<String> {
        render(&SshdConf { sections: &self.sections, further: &self.further })
    }

    /// Our keywords and values, as they are written.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let settings = self.sections.iter().flat_map(|section| &section.settings);
        settings.map(|(keyword, value)| (*keyword, value.as_str()))
    }
}

/// Hardening opens nothing that somebody closed.
fn says_no(sshd: &facts::Sshd, keyword: &str) -> bool {
    sshd.value(&keyword.to_ascii_lowercase()) == Some("no")
}

fn fixed((why, settings): &(&'static str, &[(&'static str, &str)])) -> Section {
    let settings = settings.iter().map(|(keyword, value)| (*keyword, (*value).to_owned()));
    Section { why, settings: settings.collect() }
}

fn algorithms(chosen: &Algorithms) -> Section {
    Section {
        why: "Algorithms without a known fault.",
        settings: vec![
            ("KexAlgorithms", chosen.kex.clone()),
            ("Ciphers", chosen.ciphers.clone()),
            ("MACs", chosen.macs.clone()),
            ("HostKeyAlgorithms", chosen.host_keys.clone()),
        ],
    }
}

fn keyword(line: &str) -> Option<&str> {
    line.split(|c: char| c.is_whitespace() || c == '=').find(|word| !word.is_empty())
}

fn named(keywords: &[&str], keyword: &str) -> bool {
    keywords.iter().any(|known| known.eq_ignore_ascii_case(keyword))
}
