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
        format!("packages {}", self.names.join(", "))
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
