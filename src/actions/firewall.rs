//! ufw with exactly our rules among those of others, managed by difference.

use std::fmt::Write as _;

use anyhow::bail;

use super::{output, unit};
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::firewall::{Family, QUESTION, Rule, State};

mod deed;

/// What /etc/default/ufw must say, as `ufw default` writes it; a fresh ufw says it by itself. Packets are
/// dropped, not rejected: a REJECT in FORWARD would come before the rules of the pods.
const SETTINGS: [(&str, &str); 5] = [
    ("IPV6", "yes"),
    ("MANAGE_BUILTINS", "no"),
    ("DEFAULT_INPUT_POLICY", "\"DROP\""),
    ("DEFAULT_OUTPUT_POLICY", "\"ACCEPT\""),
    ("DEFAULT_FORWARD_POLICY", "\"DROP\""),
];

/// An enabled ufw that lets in what `rules` say, and what rules of others say.
#[derive(Debug, Clone)]
pub struct Firewall {
    rules: Vec<Rule>,
    whose: Whose,
}

/// Whether ufw may be enabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// It must be enabled.
    Ours,
    /// It is looked at only where it is enabled already.
    AsItIs,
}

/// How an existing ufw comes into force.
#[derive(Debug, PartialEq, Eq)]
enum Start {
    /// It is in force.
    Nothing,
    /// It is off.
    Enable,
    /// It is on, and yet not everything of it is in force, or it would not be with the new settings.
    Anew(Vec<String>),
}

/// A setting of ufw that is not as it must be.
#[derive(Debug)]
struct Setting {
    key: &'static str,
    /// As the file has it, in quotes where ufw writes them.
    value: &'static str,
    /// What it is now; may be empty.
    old: String,
}

/// What must be done on a host.
#[derive(Debug)]
struct Difference {
    settings: Vec<Setting>,
    add: Vec<Rule>,
    remove: Vec<Rule>,
    start: Start,
    /// ufw.service does not start at boot.
    boot: bool,
}

impl Firewall {
    /// Requires an enabled ufw with `rules`.
    #[must_use]
    pub fn enabled(rules: Vec<Rule>) -> Self {
        Self { rules, whose: Whose::Ours }
    }

    /// Requires `rules` only where ufw is enabled already.
    #[must_use]
    pub fn where_enabled(rules: Vec<Rule>) -> Self {
        Self { rules, whose: Whose::AsItIs }
    }

    fn difference(&self, state: &State, boot: bool) -> anyhow::Result<Difference> {
        // What was never installed is as Debian and Ubuntu ship it.
        let differs = |(key, value): &(&str, &str)| {
            !state.settings.is_empty() && !state.is_set(key, value.trim_matches('"'))
        };
        let setting = |(key, value): (&'static str, &'static str)| {
            let old = state.settings.get(key).cloned().unwrap_or_default();
            Setting { key, value, old }
        };
        let settings: Vec<Setting> = SETTINGS.into_iter().filter(differs).map(setting).collect();
        let start = if state.is_enabled() {
            let faults = state.faults();
            let whole = faults.is_empty() && settings.is_empty();
            if whole { Start::Nothing } else { Start::Anew(faults) }
        } else {
            Start::Enable
        };
        Ok(Difference {
            add: self.missing(state)?,
            remove: self.stale(state),
            settings,
            start,
            boot,
        })
    }

    /// The rules that a family of the host lacks.
    fn missing(&self, state: &State) -> anyhow::Result<Vec<Rule>> {
        let mut missing = Vec::new();
        for rule in &self.rules {
            let mut lacking = false;
            for (family, start) in state.families() {
                if concerns(rule, start) {
                    lacking |= !stands(rule, family)?;
                }
            }
            if lacking {
                missing.push(rule.clone());
            }
        }
        Ok(missing)
    }

    /// Rules of ours that are wanted no more.
    fn stale(&self, state: &State) -> Vec<Rule> {
        let wanted = |rule: &Rule| self.rules.iter().any(|wanted| wanted.collides_with(rule));
        let ours = state.rules().into_iter().filter(|rule| rule.is_ours() && !wanted(rule));
        ours.cloned().collect()
    }
}

/// Whether `rule` belongs into the family whose chains start with `start`.
fn concerns(rule: &Rule, start: &str) -> bool {
    let of_v6 = rule.from.address.contains(':');
    rule.from.address == "any" || of_v6 == (start == "ufw6")
}

/// Whether the family has `rule`, or one of somebody else that does the same.
fn stands(rule: &Rule, family: &Family) -> anyhow::Result<bool> {
    let Some(there) = family.rules.iter().find(|there| there.collides_with(rule)) else {
        return Ok(false);
    };
    if there == rule || (there.admits() && !there.is_ours()) {
        return Ok(true);
    }
    if there.is_ours() {
        return Ok(false);
    }
    bail!(
        "somebody's rule `{there}` is where `{rule}` must be, and ufw keeps only one of them\n\
         hint: `ufw delete {}` on the host removes it",
        there.to_string().trim_start_matches("ufw ")
    )
}

impl Difference {
    fn is_empty(&self) -> bool {
        let Self { settings, add, remove, start, boot } = self;
        let nothing = *start == Start::Nothing && !boot;
        nothing && settings.is_empty() && add.is_empty() && remove.is_empty()
    }

    fn summary(&self) -> String {
        let count = |count: usize, verb: &str, what: &str| match count {
            0 => None,
            1 => Some(format!("{verb} 1 {what}")),
            _ => Some(format!("{verb} {count} {what}s")),
        };
        let start = match self.start {
            Start::Nothing => None,
            Start::Enable => Some("enable"),
            Start::Anew(_) => Some("put into force anew"),
        };
        let parts = [
            count(self.settings.len(), "set", "setting"),
            count(self.add.len(), "add", "rule"),
            count(self.remove.len(), "delete", "rule"),
            start.map(str::to_owned),
            self.boot.then(|| String::from("start it at boot")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    fn shown(&self) -> String {
        let mut shown = String::new();
        for Setting { key, value, old } in &self.settings {
            let _ = writeln!(shown, "- {key}={old}\n+ {key}={value}");
        }
        for rule in &self.add {
            let _ = writeln!(shown, "+ {rule}");
        }
        for rule in &self.remove {
            let _ = writeln!(shown, "- {rule}");
        }
        match &self.start {
            Start::Nothing => {}
            Start::Enable => shown.push_str("+ ufw enable\n"),
            Start::Anew(faults) => {
                for fault in faults {
                    let _ = writeln!(shown, "- {fault}");
                }
                shown.push_str("+ ufw disable\n+ ufw enable\n");
            }
        }
        if self.boot {
            shown.push_str("+ systemctl enable ufw.service\n");
        }
        shown
    }
}

impl Action for Firewall {
    fn subject(&self) -> String {
        String::from("firewall")
    }

    fn probe(&self) -> Vec<Question> {
        vec![Question::Script(QUESTION.to_owned()), Question::Unit("ufw.service".to_owned())]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let state = State::read(output(seen, 0)?)?;
        if self.whose == Whose::AsItIs && !state.is_enabled() {
            return Ok(None);
        }
        let unit = unit(seen, 1)?;
        let difference =
            self.difference(&state, unit.load == "loaded" && unit.enabled == "disabled")?;
        if difference.is_empty() {
            return Ok(None);
        }
        Ok(Some(Change {
            summary: difference.summary(),
            diff: Some(difference.shown()),
            apply: deed::apply(&difference),
            undo: Undo::Run(deed::undo()),
        }))
    }

    fn notes(&self, seen: &[Answer]) -> Vec<String> {
        let state = output(seen, 0).ok().and_then(|answer| State::read(answer).ok());
        let Some(state) = state.filter(|state| self.whose == Whose::Ours || state.is_enabled())
        else {
            return Vec::new();
        };
        let foreign = state.rules().into_iter().filter(|rule| !rule.is_ours());
        foreign.map(|rule| format!("foreign ufw rule, left alone: {rule}")).collect()
    }
}

#[cfg(test)]
mod tests;
