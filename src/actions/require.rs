//! What oceanid does not bring about itself, and does not go on without.

use anyhow::bail;

use super::output;
use crate::action::{Action, Answer, Change, Question};

/// Something that must be true already.
#[derive(Debug)]
pub struct Require {
    subject: String,
    test: String,
    otherwise: String,
}

impl Require {
    /// Refuses the host with `otherwise` unless the read-only script `test` succeeds.
    pub fn that(
        subject: impl Into<String>,
        test: impl Into<String>,
        otherwise: impl Into<String>,
    ) -> Self {
        Self { subject: subject.into(), test: test.into(), otherwise: otherwise.into() }
    }
}

impl Action for Require {
    fn subject(&self) -> String {
        self.subject.clone()
    }

    fn probe(&self) -> Vec<Question> {
        vec![Question::Script(self.test.clone())]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        if output(seen, 0)?.status != 0 {
            bail!("{}", self.otherwise);
        }
        Ok(None)
    }
}
