//! The rules in /etc/iptables are loaded at boot although netfilter-persistent has to go for ufw.

use anyhow::Context as _;

use super::{File, one, unit};
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::script::Script;

const UNIT: &str = "oceanid-rules.service";

/// A unit that loads at boot what netfilter-persistent loaded: Oracle's images guard their disk with it.
#[derive(Debug)]
pub struct KeptRules(File);

impl KeptRules {
    /// Requires the unit with that text where netfilter-persistent is or was.
    pub fn loaded_by(text: impl Into<String>) -> Self {
        Self(File::new(format!("/etc/systemd/system/{UNIT}"), text))
    }
}

impl Action for KeptRules {
    fn subject(&self) -> String {
        format!("unit {UNIT}")
    }

    fn probe(&self) -> Vec<Question> {
        let mut questions = self.0.probe();
        questions.push(Question::Package("netfilter-persistent".to_owned()));
        questions.push(Question::Unit(UNIT.to_owned()));
        questions
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let present = matches!(one(seen, 1)?, Answer::Package(Some(_)));
        let unit = unit(seen, 2)?;
        if !present && unit.load != "loaded" {
            return Ok(None);
        }
        let file = self.0.diff(seen).context("its file")?;
        if file.is_none() && unit.enabled == "enabled" {
            return Ok(None);
        }
        let enable = format!("systemctl daemon-reload\nsystemctl -q enable {UNIT}\n");
        let apply = match &file {
            Some(change) => Script::new(format!("{}{enable}", change.apply.text()))
                .stdin(change.apply.body().clone()),
            None => Script::new(enable),
        };
        Ok(Some(Change {
            summary: String::from("load /etc/iptables at boot in place of netfilter-persistent"),
            diff: file.and_then(|change| change.diff),
            apply,
            // netfilter-persistent does not come back either.
            undo: Undo::Never,
        }))
    }
}
