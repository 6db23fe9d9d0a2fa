//! Text for a host's `sh`, and the one place where values are quoted for it.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// How long a script may run on a host unless it says otherwise.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(60);

/// What a line on stderr begins with when it tells how far a script has come.
pub const PROGRESS_MARK: &str = "::oceanid:: ";

/// Text for the host's `sh`. Never holds a secret: secrets travel on stdin.
#[derive(Debug, Clone)]
pub struct Script {
    text: String,
    stdin: Body,
    deadline: Duration,
}

/// What a script reads from its stdin.
#[derive(Debug, Clone, Default)]
pub enum Body {
    /// Nothing: stdin is `/dev/null`.
    #[default]
    Empty,
    /// Plain text, shown in plans.
    Text(String),
    /// A secret: never shown, never logged.
    Secret(SecretString),
    /// The content of a file on this machine, sent as it is read.
    File(PathBuf),
    /// Not known before an earlier wave has run: shown as `(known after apply)`.
    Later,
}

impl Script {
    /// Makes a script without stdin that may run for [`DEFAULT_DEADLINE`].
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), stdin: Body::Empty, deadline: DEFAULT_DEADLINE }
    }

    /// Sets what the script reads from stdin.
    #[must_use]
    pub fn stdin(mut self, body: Body) -> Self {
        self.stdin = body;
        self
    }

    /// Sets how long the script may run on the host.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The text that `sh` runs.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the script reads from stdin.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.stdin
    }

    /// How long the script may run on the host.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.deadline
    }
}

/// Quotes `value` as one word for a POSIX shell.
#[must_use]
pub fn quote(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::quote;

    proptest! {
        #[test]
        fn a_quoted_value_reaches_a_real_shell_unchanged(value in "[^\0]{0,40}") {
            for shell in ["dash", "bash"] {
                let script = format!("printf %s {}", quote(&value));
                let output = Command::new(shell).arg("-c").arg(&script).output().expect("shell runs");
                prop_assert_eq!(String::from_utf8_lossy(&output.stdout), value.as_str());
            }
        }
    }
}
