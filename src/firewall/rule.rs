//! One rule of ufw, as its own record has it and as its command line takes it.

use std::fmt;

use ipnet::IpNet;

use super::MARK;

/// One rule of ufw in one address family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// It is about packets that are passed on.
    pub route: bool,
    /// `allow`, `deny`, `reject` or `limit`.
    pub action: String,
    /// It is about packets that leave.
    pub out: bool,
    /// The interface that packets come in by; may be empty.
    pub comes_by: String,
    /// The interface that packets leave by; may be empty.
    pub leaves_by: String,
    /// `log`, `log-all` or nothing.
    pub log: String,
    /// `tcp`, `udp`, `any` and others.
    pub protocol: String,
    /// Where packets come from.
    pub from: End,
    /// Where they go to.
    pub to: End,
    /// What whoever made it wrote beside it.
    pub comment: String,
}

/// One end of the packets that a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// An address, a network, or `any`.
    pub address: String,
    /// A port, a range `2379:2380`, a list `80,443`, or `any`.
    pub port: String,
    /// The application profile that the port came from; may be empty.
    pub app: String,
}

impl End {
    /// Every address and port.
    #[must_use]
    pub fn any() -> Self {
        let any = || String::from("any");
        Self { address: any(), port: any(), app: String::new() }
    }
}

impl Rule {
    /// Lets in `protocol` at `port`, from `from` or from everywhere; `why` becomes its comment.
    #[must_use]
    pub fn allow(port: &str, protocol: &str, from: Option<IpNet>, why: &str) -> Self {
        let source = from.map_or_else(|| String::from("any"), address);
        Self {
            route: false,
            action: String::from("allow"),
            out: false,
            comes_by: String::new(),
            leaves_by: String::new(),
            log: String::new(),
            protocol: protocol.to_owned(),
            from: End { address: source, ..End::any() },
            to: End { port: port.to_owned(), ..End::any() },
            comment: format!("{MARK}{why}"),
        }
    }

    /// Reads a line of ufw's record after `### tuple ###`; `None` when ufw itself would skip it.
    #[must_use]
    pub fn read(tuple: &str) -> Option<Self> {
        let (tuple, comment) = tuple.split_once(" comment=").unwrap_or((tuple, ""));
        let words: Vec<&str> = tuple.split_whitespace().collect();
        let (fixed, rest) = words.split_at_checked(6)?;
        let (apps, way) = match *rest {
            [] => (["-", "-"], "in"),
            [way] => (["-", "-"], way),
            [to, from] => ([to, from], "in"),
            [to, from, way] => ([to, from], way),
            _ => return None,
        };
        let &[action, protocol, to_port, to, from_port, from] = fixed else { return None };
        let (route, action) =
            action.strip_prefix("route:").map_or((false, action), |action| (true, action));
        let (action, log) = action.split_once('_').unwrap_or((action, ""));
        let (comes_by, leaves_by) = interfaces(way);
        let end = |address: &str, port: &str, app: &str| End {
            address: if matches!(address, "0.0.0.0/0" | "::/0") { "any" } else { address }
                .to_owned(),
            port: port.to_owned(),
            app: if app == "-" { String::new() } else { app.replace("%20", " ") },
        };
        Some(Self {
            route,
            action: action.to_owned(),
            out: way.starts_with("out"),
            comes_by: comes_by.to_owned(),
            leaves_by: leaves_by.to_owned(),
            log: log.to_owned(),
            protocol: protocol.to_owned(),
            to: end(to, to_port, apps[0]),
            from: end(from, from_port, apps[1]),
            comment: unhex(comment.trim()),
        })
    }

    /// Whether oceanid made it.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.comment.starts_with(MARK)
    }

    /// Whether ufw takes both for the same rule: it keeps only one of them.
    #[must_use]
    pub fn collides_with(&self, other: &Self) -> bool {
        let about = |rule: &Self| Self {
            action: String::new(),
            log: String::new(),
            comment: String::new(),
            ..rule.clone()
        };
        about(self) == about(other)
    }

    /// Whether it lets anything in.
    #[must_use]
    pub fn admits(&self) -> bool {
        !self.route && !self.out && matches!(self.action.as_str(), "allow" | "limit")
    }

    /// The words of ufw's command line, as `ufw show added` chooses them.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let mut words: Vec<&str> = if self.route { vec!["route"] } else { Vec::new() };
        words.push(&self.action);
        let (from, to) = (&self.from, &self.to);
        let plain = self.comes_by.is_empty() && self.leaves_by.is_empty();
        let everywhere = from.address == "any" && to.address == "any" && from.port == "any";
        let short = if to.app.is_empty() && self.protocol != "any" {
            format!("{}/{}", to.port, self.protocol)
        } else if to.app.is_empty() {
            to.port.clone()
        } else {
            to.app.clone()
        };
        if everywhere && from.app.is_empty() && plain && to.port != "any" {
            words.extend(self.out.then_some("out"));
            words.extend(filled(&self.log));
            words.push(&short);
        } else {
            self.long(&mut words);
        }
        if !self.comment.is_empty() {
            words.extend(["comment", &self.comment]);
        }
        words.into_iter().map(str::to_owned).collect()
    }

    fn long<'a>(&'a self, words: &mut Vec<&'a str>) {
        if !self.comes_by.is_empty() {
            words.extend(["in", "on", &self.comes_by]);
        }
        if !self.leaves_by.is_empty() {
            words.extend(["out", "on", &self.leaves_by]);
        } else if self.out {
            words.push("out");
        }
        words.extend(filled(&self.log));
        let before = words.len();
        for (word, end) in [("from", &self.from), ("to", &self.to)] {
            let End { address, port, app } = end;
            if address != "any" || port != "any" || !app.is_empty() {
                words.extend([word, address]);
                if !app.is_empty() {
                    words.extend(["app", app]);
                } else if port != "any" {
                    words.extend(["port", port]);
                }
            }
        }
        if words.len() == before && self.comes_by.is_empty() && self.leaves_by.is_empty() {
            words.extend(["to", "any"]);
        }
        if self.protocol != "any" && self.from.app.is_empty() && self.to.app.is_empty() {
            words.extend(["proto", &self.protocol]);
        }
    }
}

impl fmt::Display for Rule {
    /// The command, to be run or compared with `ufw show added`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ufw")?;
        let mut quoted = false;
        for word in self.words() {
            if quoted || word.contains(' ') {
                write!(f, " '{word}'")?;
            } else {
                write!(f, " {word}")?;
            }
            quoted = word == "comment";
        }
        Ok(())
    }
}

fn filled(word: &str) -> Option<&str> {
    (!word.is_empty()).then_some(word)
}

/// A single address without its prefix, as ufw writes it.
fn address(network: IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

/// The interfaces of `in_eth0!out_eth1`.
fn interfaces(way: &str) -> (&str, &str) {
    let (first, second) = way.split_once('!').unwrap_or((way, way));
    (first.strip_prefix("in_").unwrap_or(""), second.strip_prefix("out_").unwrap_or(""))
}

/// Text from the hexadecimal of its UTF-8.
fn unhex(hex: &str) -> String {
    let digits: Vec<u8> = hex.chars().filter_map(|c| u8::try_from(c.to_digit(16)?).ok()).collect();
    let bytes: Vec<u8> = digits
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |sum, digit| sum * 16 + digit))
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::Rule;

    #[test]
    fn a_line_of_ufws_record_is_the_command_that_ufw_shows_for_it() {
        let pairs = [
            (
                "allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in comment=6f6365616e69643a20737368",
                "ufw allow 22/tcp comment 'oceanid: ssh'",
            ),
            (
                "allow tcp 6443 0.0.0.0/0 any 198.51.100.35 in comment=6f6365616e69643a20617069",
                "ufw allow from 198.51.100.35 to any port 6443 proto tcp comment 'oceanid: api'",
            ),
            ("allow any any 0.0.0.0/0 any 10.42.0.0/16 in", "ufw allow from 10.42.0.0/16"),
            ("allow tcp 22 ::/0 any ::/0 OpenSSH - in", "ufw allow OpenSSH"),
            ("allow tcp 80 ::/0 any ::/0 Nginx%20Full - in", "ufw allow 'Nginx Full'"),
            ("deny any 99 0.0.0.0/0 any 0.0.0.0/0 in_eth0", "ufw deny in on eth0 to any port 99"),
            (
                "route:allow tcp 80 10.0.0.1 any 0.0.0.0/0 in_eth0!out_eth1",
                "ufw route allow in on eth0 out on eth1 to 10.0.0.1 port 80 proto tcp",
            ),
            ("allow any 53 0.0.0.0/0 any 0.0.0.0/0 in", "ufw allow 53"),
            ("allow tcp 80,443 0.0.0.0/0 any 0.0.0.0/0 in", "ufw allow 80,443/tcp"),
            ("reject tcp 25 0.0.0.0/0 any 0.0.0.0/0 out", "ufw reject out 25/tcp"),
            (
                "allow tcp any 0.0.0.0/0 22 1.2.3.4 - OpenSSH in",
                "ufw allow from 1.2.3.4 app OpenSSH",
            ),
            (
                "limit_log tcp 2222 0.0.0.0/0 any 0.0.0.0/0 in comment=6974732078",
                "ufw limit log 2222/tcp comment 'its x'",
            ),
            ("allow any any 0.0.0.0/0 any 0.0.0.0/0 in_tailscale0", "ufw allow in on tailscale0"),
            ("allow any any 0.0.0.0/0 any 0.0.0.0/0 in", "ufw allow to any"),
        ];
        for (tuple, command) in pairs {
            assert_eq!(Rule::read(tuple).expect(tuple).to_string(), command, "{tuple}");
        }
        assert_eq!(Rule::read("allow tcp 22"), None);
    }

    #[test]
    fn a_rule_of_the_generator_is_what_ufw_records_of_it() {
        let read = |tuple: &str| Rule::read(tuple).expect("a whole tuple");
        let network = "198.51.100.35/32".parse().ok();
        let api =
            read("allow tcp 6443 0.0.0.0/0 any 198.51.100.35 in comment=6f6365616e69643a20617069");
        assert_eq!(Rule::allow("6443", "tcp", network, "api"), api);
        let network = "fd00::/64".parse().ok();
        let pods = read("allow any any ::/0 any fd00::/64 in comment=6f6365616e69643a20706f6473");
        assert_eq!(Rule::allow("any", "any", network, "pods"), pods);
    }

    #[test]
    fn rules_that_ufw_cannot_keep_apart_collide() {
        let read = |tuple: &str| Rule::read(tuple).expect("a whole tuple");
        let ours = Rule::allow("22", "tcp", None, "ssh");
        assert!(ours.collides_with(&read("limit tcp 22 0.0.0.0/0 any 0.0.0.0/0 in")));
        assert!(ours.collides_with(&read("deny_log tcp 22 ::/0 any ::/0 in comment=6162")));
        assert!(!ours.collides_with(&read("allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 OpenSSH - in")));
        assert!(!ours.collides_with(&read("allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in_eth0")));
        assert!(!ours.collides_with(&read("allow tcp 22 0.0.0.0/0 any 1.2.3.4 in")));
    }
}
