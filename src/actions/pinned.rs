//! Debian packages at one version, and kept there.

use std::fmt::Write as _;

use super::output;
use super::packages::{AWAIT_LOCKS, DEADLINE};
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::script::{Script, quote};

/// Packages that all have one version.
#[derive(Debug, Clone)]
pub struct Pinned {
    names: Vec<String>,
    /// May end in `*`.
    version: String,
    /// Comes along at whatever version.
    further: Option<String>,
    hold: Hold,
    list: Option<String>,
}

/// Whether an upgrade of everything may change them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Free,
    Held,
}

impl Pinned {
    /// Requires `names` at `version`; one that ends in `*` stands for all that begin so.
    #[must_use]
    pub fn new(names: &[&str], version: &str) -> Self {
        Self {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            version: version.to_owned(),
            further: None,
            hold: Hold::Free,
            list: None,
        }
    }

    /// Has no upgrade of everything change them.
    #[must_use]
    pub fn held(mut self) -> Self {
        self.hold = Hold::Held;
        self
    }

    /// Has another package installed before, at whatever version the host's sources give.
    #[must_use]
    pub fn with(mut self, name: &str) -> Self {
        self.further = Some(name.to_owned());
        self
    }

    /// Has apt read anew only what the file `list` names: other sources may be out of reach.
    #[must_use]
    pub fn from_list(mut self, list: &str) -> Self {
        self.list = Some(list.to_owned());
        self
    }

    fn fits(&self, version: &str) -> bool {
        match self.version.strip_suffix('*') {
            Some(start) => version.starts_with(start),
            None => version == self.version,
        }
    }

    fn words(&self) -> String {
        let names = self.names.iter().map(|name| quote(&format!("{name}={}", self.version)));
        self.further.iter().map(|name| quote(name)).chain(names).collect::<Vec<_>>().join(" ")
    }

    fn apply(&self) -> Script {
        let only = self.list.as_ref().map_or_else(String::new, |list| {
            format!(
                "-o Dir::Etc::SourceList={} -o Dir::Etc::SourceParts=/dev/null -o APT::Get::List-Cleanup=0",
                quote(list)
            )
        });
        let mut text = format!(
            "export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l\n{AWAIT_LOCKS}\
             apt() {{ apt-get -qq -y -o DPkg::Lock::Timeout=60 -o Dpkg::Options::=--force-confold \
             -o APT::Update::Error-Mode=any --no-install-recommends --allow-downgrades \
             --allow-change-held-packages \"$@\" </dev/null; }}\n\
             progress 'apt-get update'\napt update {only}\n\
             progress 'apt-get install {names}'\napt install {words}\n",
            names = self.names.join(" "),
            words = self.words(),
        );
        if self.hold == Hold::Held {
            let _ = writeln!(text, "apt-mark -q hold {} >/dev/null", self.names.join(" "));
        }
        Script::new(text).deadline(DEADLINE)
    }
}

impl Action for Pinned {
    fn subject(&self) -> String {
        let first = self.names.first().map_or("", String::as_str);
        match self.names.len() {
            0 | 1 => format!("package {first}"),
            more => format!("packages {first} and {} more", more - 1),
        }
    }

    fn probe(&self) -> Vec<Question> {
        let names: Vec<String> = self.names.iter().map(|name| quote(name)).collect();
        vec![Question::Script(format!(
            "dpkg-query -W -f '${{Package}} ${{db:Status-Status}} ${{db:Status-Want}} ${{Version}}\\n' \
             {} 2>/dev/null || :\n",
            names.join(" ")
        ))]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let said = &output(seen, 0)?.stdout;
        let mut lines = String::new();
        let mut loose = Vec::new();
        for name in &self.names {
            let start = format!("{name} ");
            let found = said.lines().find_map(|line| line.strip_prefix(&start));
            let words: Vec<&str> = found.unwrap_or_default().split(' ').collect();
            let version = match words[..] {
                ["installed", want, version] => {
                    if self.hold == Hold::Held && want != "hold" {
                        loose.push(name.as_str());
                    }
                    Some(version)
                }
                _ => None,
            };
            if version.is_none_or(|version| !self.fits(version)) {
                if let Some(version) = version {
                    let _ = writeln!(lines, "- {name} {version}");
                }
                let _ = writeln!(lines, "+ {name} {}", self.version);
            }
        }
        if !lines.is_empty() {
            let held = if self.hold == Hold::Held { ", and hold them" } else { "" };
            return Ok(Some(Change {
                summary: format!("install {}{held}", self.version),
                diff: Some(lines),
                apply: self.apply(),
                undo: Undo::Never,
            }));
        }
        if loose.is_empty() {
            return Ok(None);
        }
        let script = |verb: &str| {
            Script::new(format!("apt-mark -q {verb} {} >/dev/null\n", loose.join(" ")))
        };
        Ok(Some(Change {
            summary: format!("hold {}", loose.join(", ")),
            diff: None,
            apply: script("hold"),
            undo: Undo::Run(script("unhold")),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Pinned};
    use crate::action::Action as _;
    use crate::remote::Output;

    /// What is changed on a host whose dpkg says `said`.
    fn summary(pinned: &Pinned, said: &str) -> Option<String> {
        let seen = [Answer::Script(Output { stdout: said.to_owned(), ..Output::default() })];
        pinned.diff(&seen).expect("it is read").map(|change| change.summary)
    }

    #[test]
    fn one_version_and_a_hold_are_wanted_of_each() {
        let held = Pinned::new(&["a", "b"], "1.2-1").held();
        let lines = |a: &str, b: &str| summary(&held, &format!("a {a}\nb {b}\n"));
        let install = Some("install 1.2-1, and hold them".to_owned());
        assert_eq!(lines("installed hold 1.2-1", "installed hold 1.2-1"), None);
        assert_eq!(
            lines("installed hold 1.2-1", "installed install 1.2-1").as_deref(),
            Some("hold b")
        );
        assert_eq!(lines("installed hold 1.2-1", "installed hold 1.2-10"), install);
        assert_eq!(lines("installed hold 1.2-1", "config-files deinstall 1.2-1"), install);
        assert_eq!(summary(&held, "ab installed hold 1.2-1\n"), install);
    }

    #[test]
    fn a_star_stands_for_all_that_begin_so() {
        let branch = Pinned::new(&["a"], "580.*");
        assert_eq!(summary(&branch, "a installed install 580.95.05-1\n"), None);
        assert_eq!(
            summary(&branch, "a installed install 58.0-1\n").as_deref(),
            Some("install 580.*")
        );
    }
}
