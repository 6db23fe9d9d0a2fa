//! Kernel parameters as they are in the running kernel.

use std::fmt::Write as _;

use anyhow::bail;

use super::one;
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::script::{Script, quote};

/// Kernel parameters of the running kernel; the file that survives a reboot is a `File` of its own.
#[derive(Debug, Clone)]
pub struct Sysctls {
    wanted: Vec<(&'static str, &'static str)>,
    unknown: Unknown,
    taken_back: TakenBack,
}

/// What becomes of a key that this kernel does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Fails,
    Skipped,
}

/// Whether the kernel lets anybody take a value back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TakenBack {
    AtAnyTime,
    ByReboot,
}

impl Sysctls {
    /// Requires each key to have its value.
    #[must_use]
    pub fn live(wanted: &[(&'static str, &'static str)]) -> Self {
        Self { wanted: wanted.to_vec(), unknown: Unknown::Fails, taken_back: TakenBack::AtAnyTime }
    }

    /// Requires each key that this kernel has to have its value.
    #[must_use]
    pub fn where_known(wanted: &[(&'static str, &'static str)]) -> Self {
        Self { unknown: Unknown::Skipped, ..Self::live(wanted) }
    }

    /// Says that the kernel keeps the values until it is started again.
    #[must_use]
    pub fn until_reboot(mut self) -> Self {
        self.taken_back = TakenBack::ByReboot;
        self
    }
}

impl Action for Sysctls {
    fn subject(&self) -> String {
        match self.wanted.as_slice() {
            [(key, _)] => format!("kernel parameter {key}"),
            _ => String::from("kernel parameters"),
        }
    }

    fn probe(&self) -> Vec<Question> {
        self.wanted.iter().map(|(key, _)| Question::Sysctl((*key).to_owned())).collect()
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let mut shown = String::new();
        let (mut apply, mut undo) = (String::new(), String::new());
        let mut count = 0;
        for (index, (key, wanted)) in self.wanted.iter().enumerate() {
            let Answer::Sysctl(present) = one(seen, index)? else {
                bail!("expected the value of `{key}`");
            };
            let skipped = present.is_none() && self.unknown == Unknown::Skipped;
            if skipped || present.as_deref() == Some(*wanted) {
                continue;
            }
            count += 1;
            let set = |value: &str| format!("sysctl -qw {}\n", quote(&format!("{key}={value}")));
            apply.push_str(&set(wanted));
            if let Some(present) = present {
                let _ = writeln!(shown, "- {key} = {present}");
                undo.insert_str(0, &set(present));
            }
            let _ = writeln!(shown, "+ {key} = {wanted}");
        }
        if count == 0 {
            return Ok(None);
        }
        Ok(Some(Change {
            summary: format!("set {count} of {}", self.wanted.len()),
            diff: Some(shown),
            apply: Script::new(apply),
            undo: match self.taken_back {
                TakenBack::AtAnyTime => Undo::Run(Script::new(undo)),
                TakenBack::ByReboot => Undo::Never,
            },
        }))
    }
}
