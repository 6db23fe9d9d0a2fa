//! Join tokens: `K10<sha256 of /cacerts>::<user>:<password>`, or the password alone.

use sha2::{Digest, Sha256};
use std::fmt::Write;

/// A token as an agent reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The hash that the served CA must have; none in the short form.
    pub ca_hash: Option<String>,
    /// What is shown to the supervisor.
    pub credentials: Credentials,
}

/// What proves that a host may join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A user (empty in the short form) and its password.
    Basic(String, String),
    /// A token made by `k3s token create`: `id.secret`.
    Bootstrap(String),
}

impl Token {
    /// Reads a token in any of its forms.
    ///
    /// # Errors
    /// The message that k3s logs.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("token must not be empty".to_owned());
        }
        let Some(rest) = text.strip_prefix("K10") else {
            let credentials = if is_bootstrap(text) {
                Credentials::Bootstrap(text.to_owned())
            } else {
                Credentials::Basic(String::new(), text.to_owned())
            };
            return Ok(Self { ca_hash: None, credentials });
        };
        let (ca_hash, secret) = match rest.split_once("::") {
            Some((hash, _)) if !hash.is_empty() && hash.len() != 64 => {
                return Err("invalid token CA hash length".to_owned());
            }
            Some((hash, secret)) => ((!hash.is_empty()).then(|| hash.to_owned()), secret),
            None => (None, rest),
        };
        if is_bootstrap(secret) {
            return Ok(Self { ca_hash, credentials: Credentials::Bootstrap(secret.to_owned()) });
        }
        match secret.split_once(':') {
            Some((user, password)) if !password.is_empty() => Ok(Self {
                ca_hash,
                credentials: Credentials::Basic(user.to_owned(), password.to_owned()),
            }),
            _ => Err("invalid token format".to_owned()),
        }
    }

    /// Returns the password, where the token is not a bootstrap token.
    pub fn password(&self) -> Option<&str> {
        match &self.credentials {
            Credentials::Basic(_, password) => Some(password),
            Credentials::Bootstrap(_) => None,
        }
    }
}

/// Writes the full form of a token.
pub fn full(ca_pem: &[u8], secret: &str) -> String {
    format!("K10{}::{secret}", sha256(ca_pem))
}

/// Returns the lower-case hex of the sha256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Returns `count` random bytes as lower-case hex.
pub fn random_hex(count: usize) -> String {
    let mut bytes = vec![0; count];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .expect("the system has random bytes");
    hex(&bytes)
}

/// Says whether `text` is a bootstrap token: six characters, a dot, sixteen characters.
pub fn is_bootstrap(text: &str) -> bool {
    let word = |part: &str, length: usize| {
        part.len() == length
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    text.split_once('.').is_some_and(|(id, secret)| word(id, 6) && word(secret, 16))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_tokens_are_refused_as_k3s_refuses_them() {
        let said = |text: &str| Token::parse(text).unwrap_err();
        assert_eq!(said("K10abc::server:pw"), "invalid token CA hash length");
        assert_eq!(said(&format!("K10{}::server", "a".repeat(64))), "invalid token format");
        assert_eq!(said(" "), "token must not be empty");
    }

    #[test]
    fn every_form_of_a_token_is_read() {
        let hash = "a".repeat(64);
        let full = Token::parse(&format!("K10{hash}::server:secret")).expect("full");
        assert_eq!(full.ca_hash.as_deref(), Some(hash.as_str()));
        assert_eq!(full.password(), Some("secret"));
        let short = Token::parse("secret").expect("short");
        assert_eq!((short.ca_hash.as_deref(), short.password()), (None, Some("secret")));
        let made = Token::parse(&format!("K10{hash}::abc123.0123456789abcdef")).expect("made");
        assert_eq!(made.credentials, Credentials::Bootstrap("abc123.0123456789abcdef".to_owned()));
    }

    #[test]
    fn sha256_is_the_published_one() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(b""), empty);
    }
}
