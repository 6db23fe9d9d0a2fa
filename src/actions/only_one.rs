//! Units of which no two may run at once.

use anyhow::bail;

use super::unit;
use crate::action::{Action, Answer, Change, Question};

/// Units that do the same thing: two of them would fight. Which one goes is for people to say.
#[derive(Debug, Clone)]
pub struct OnlyOne {
    kind: &'static str,
    units: Vec<&'static str>,
}

impl OnlyOne {
    /// Refuses a host on which more than one of `units` runs; `kind` is what each of them is.
    #[must_use]
    pub fn of(kind: &'static str, units: &[&'static str]) -> Self {
        Self { kind, units: units.to_vec() }
    }
}

impl Action for OnlyOne {
    fn subject(&self) -> String {
        self.kind.to_owned()
    }

    fn probe(&self) -> Vec<Question> {
        self.units.iter().map(|name| Question::Unit((*name).to_owned())).collect()
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        // A unit may have several names: ntpsec calls itself ntp, too.
        let mut running: Vec<&str> = Vec::new();
        for index in 0..self.units.len() {
            let state = unit(seen, index)?;
            if state.active == "active" && !running.contains(&state.id.as_str()) {
                running.push(&state.id);
            }
        }
        let [first, others @ ..] = running.as_slice() else { return Ok(None) };
        if others.is_empty() {
            return Ok(None);
        }
        bail!(
            "`{}` run at once and fight; keep one and stop the rest, for example \
             `systemctl disable --now {first}`",
            running.join("` and `")
        )
    }
}
