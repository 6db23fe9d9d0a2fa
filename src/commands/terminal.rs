//! Questions that only the person at the terminal can answer.

use std::io::IsTerminal as _;

use secrecy::SecretString;

use super::context::Teller;
use crate::remote::Prompt;

/// The person at the terminal, if there is one.
pub struct Terminal {
    /// Rests while a question is on the screen.
    pub teller: Teller,
}

impl Terminal {
    fn password(&self, question: &str) -> Option<SecretString> {
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return None;
        }
        let typed =
            self.teller.suspend(|| dialoguer::Password::new().with_prompt(question).interact());
        typed.ok().map(SecretString::from)
    }
}

impl Prompt for Terminal {
    fn passphrase(&self, key: &std::path::Path) -> Option<SecretString> {
        self.password(&format!("Passphrase of {}", key.display()))
    }

    fn sudo_password(&self, user: &str, host: &str) -> Option<SecretString> {
        self.password(&format!("Password of {user} for sudo on {host}"))
    }

    fn trust(&self, address: &str, fingerprint: &str) -> bool {
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return false;
        }
        let question =
            format!("{address} shows the unknown host key {fingerprint}. Is it the right one?");
        let answer = self
            .teller
            .suspend(|| dialoguer::Confirm::new().with_prompt(question).default(false).interact());
        answer.unwrap_or(false)
    }
}
