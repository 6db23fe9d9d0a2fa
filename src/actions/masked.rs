//! Units that nothing may start.

use super::unit;
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::script::{Script, quote};

/// Units that nothing and nobody may start: systemd finds an empty file in their place.
#[derive(Debug, Clone)]
pub struct Masked(Vec<&'static str>);

impl Masked {
    /// Requires every one of `names` to be masked.
    #[must_use]
    pub fn units(names: &[&'static str]) -> Self {
        Self(names.to_vec())
    }
}

impl Action for Masked {
    fn subject(&self) -> String {
        format!("units {}", self.0.join(", "))
    }

    fn probe(&self) -> Vec<Question> {
        self.0.iter().map(|name| Question::Unit((*name).to_owned())).collect()
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let mut open = Vec::new();
        for (index, name) in self.0.iter().enumerate() {
            if unit(seen, index)?.load != "masked" {
                open.push(*name);
            }
        }
        let names: Vec<String> = open.iter().map(|name| quote(name)).collect();
        let names = names.join(" ");
        Ok((!open.is_empty()).then(|| Change {
            summary: if open.len() == self.0.len() {
                String::from("mask")
            } else {
                format!("mask {}", open.join(", "))
            },
            diff: None,
            apply: Script::new(format!("systemctl -q mask -- {names}\n")),
            undo: Undo::Run(Script::new(format!("systemctl -q unmask -- {names}\n"))),
        }))
    }
}
