//! Sockets that listen, by `ss`, and the rules that are about them.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::firewall::Rule;

/// A port at which something listens to the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Socket {
    port: u16,
    protocol: String,
    /// The name of the program; may be empty.
    program: String,
}

/// The sockets in `listening` that are neither for this host alone nor for the networks `inside`.
pub(super) fn sockets(listening: &str, inside: &[IpNet]) -> Vec<Socket> {
    let mut all = Vec::new();
    for line in listening.lines() {
        let Some((address, socket)) = read(line) else { continue };
        let private = address.is_some_and(|address| {
            address.is_loopback() || inside.iter().any(|network| network.contains(&address))
        });
        if !private && !all.contains(&socket) {
            all.push(socket);
        }
    }
    all
}

/// The address, `None` for all, and what listens there.
fn read(line: &str) -> Option<(Option<IpAddr>, Socket)> {
    let mut words = line.split_whitespace();
    let protocol = words.next().filter(|word| matches!(*word, "tcp" | "udp"))?;
    let (address, port) = words.nth(3)?.rsplit_once(':')?;
    let address = address.split('%').next().unwrap_or_default().trim_matches(['[', ']']);
    let program = line.split("((\"").nth(1).and_then(|rest| rest.split('"').next());
    let socket = Socket {
        port: port.parse().ok()?,
        protocol: protocol.to_owned(),
        program: program.unwrap_or_default().to_owned(),
    };
    Some((address.parse().ok(), socket))
}

impl Socket {
    /// Whether `rule` is meant for it, from wherever.
    pub(super) fn is_meant_by(&self, rule: &Rule) -> bool {
        rule.to.port != "any" && rule.protocol == self.protocol && holds(&rule.to.port, self.port)
    }

    /// Whether `rule` decides about packets from anywhere to it.
    pub(super) fn is_decided_by(&self, rule: &Rule) -> bool {
        let protocol = rule.protocol == "any" || rule.protocol == self.protocol;
        let from_all = rule.from.address == "any" && rule.from.port == "any";
        let port = rule.to.port == "any" || holds(&rule.to.port, self.port);
        !rule.route && !rule.out && rule.to.address == "any" && protocol && from_all && port
    }

    /// Whether `line` of the chain INPUT accepts packets from anywhere to it.
    pub(super) fn is_accepted_by(&self, line: &str) -> bool {
        let words: Vec<&str> = line.split_whitespace().collect();
        let value = |key: &str| {
            let place = words.iter().position(|word| *word == key)?;
            words.get(place + 1).copied()
        };
        let some_only =
            ["-s", "-d", "-i", "--src-range", "--mark", "!"].iter().any(|key| words.contains(key));
        let replies = line.contains("ESTABLISHED") && !line.contains("NEW");
        let protocol = value("-p").is_none_or(|protocol| protocol == self.protocol);
        let ports = value("--dport").or_else(|| value("--dports"));
        let port = ports.is_none_or(|ports| holds(ports, self.port));
        value("-j") == Some("ACCEPT") && !some_only && !replies && protocol && port
    }
}

/// Whether `ports`, such as `80,8000:8010`, hold `port`.
fn holds(ports: &str, port: u16) -> bool {
    ports.split(',').any(|range| {
        let (low, high) = range.split_once(':').unwrap_or((range, range));
        let bound = |text: &str| text.parse::<u16>().ok();
        bound(low).zip(bound(high)).is_some_and(|(low, high)| (low..=high).contains(&port))
    })
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, self.protocol)?;
        if !self.program.is_empty() {
            write!(f, " ({})", self.program)?;
        }
        Ok(())
    }
}
