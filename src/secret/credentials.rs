//! What opens a tunnel of Cloudflare: a token and a credentials file say the same in two forms.

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// What the forms are called in errors.
const FORMS: &str = "it is the token of the tunnel, as Cloudflare's dashboard shows it, or the \
                     credentials file that `cloudflared tunnel create` writes, or that in base64";

/// The shortest secret that Cloudflare takes, bytes.
const SHORTEST: usize = 32;

/// What opens a tunnel, and whose it is: only the secret half of it is never shown.
#[derive(Debug, Clone)]
pub struct Credentials {
    account: String,
    id: String,
    endpoint: String,
    secret: SecretString,
}

/// As a credentials file has it, and as a token has it.
#[derive(Deserialize)]
struct Read {
    #[serde(rename = "AccountTag", alias = "a")]
    account: Option<String>,
    #[serde(rename = "TunnelSecret", alias = "s")]
    secret: Option<String>,
    #[serde(rename = "TunnelID", alias = "t")]
    id: Option<String>,
    #[serde(rename = "Endpoint", alias = "e")]
    endpoint: Option<String>,
}

#[derive(Serialize)]
struct File<'a> {
    #[serde(rename = "AccountTag")]
    account: &'a str,
    #[serde(rename = "TunnelSecret")]
    secret: &'a str,
    #[serde(rename = "TunnelID")]
    id: &'a str,
    #[serde(rename = "Endpoint", skip_serializing_if = "str::is_empty")]
    endpoint: &'a str,
}

#[derive(Serialize)]
struct Token<'a> {
    #[serde(rename = "a")]
    account: &'a str,
    #[serde(rename = "t")]
    id: &'a str,
    #[serde(rename = "s")]
    secret: &'a str,
    #[serde(rename = "e", skip_serializing_if = "str::is_empty")]
    endpoint: &'a str,
}

impl Credentials {
    /// Reads either form.
    ///
    /// # Errors
    /// When it is none of them, or not whole. No error holds any of it.
    pub fn read(whole: &SecretString) -> anyhow::Result<Self> {
        let Read { account, secret, id, endpoint } = parse(whole.expose_secret().trim())
            .map_err(|error| anyhow::anyhow!("{error}\nhint: {FORMS}"))?;
        let secret = Zeroizing::new(secret.context("it has no secret (`TunnelSecret`)")?);
        let bytes = STANDARD.decode(secret.as_bytes()).map(Zeroizing::new);
        ensure!(
            bytes.is_ok_and(|bytes| bytes.len() >= SHORTEST),
            "its secret is not base64 of at least {SHORTEST} bytes: is it cut off?"
        );
        let account = account.context("it has no account (`AccountTag`)")?;
        ensure!(is_hex(&account, 32), "its account is not 32 hexadecimal digits");
        let id = id.context("it has no tunnel (`TunnelID`)")?.to_lowercase();
        ensure!(id.len() == 36 && is_hex(&id.replace('-', ""), 32), "its tunnel is not a UUID");
        let endpoint = endpoint.unwrap_or_default();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
        ensure!(endpoint.bytes().all(plain), "its endpoint is not a name");
        Ok(Self { account, id, endpoint, secret: SecretString::from(secret.as_str()) })
    }

    /// The account that the tunnel belongs to.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The tunnel's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Refuses what opens another tunnel than the one that is meant.
    ///
    /// # Errors
    /// With what differs.
    pub fn must_be(&self, account: Option<&str>, id: Option<&str>) -> anyhow::Result<()> {
        let both = [
            ("another tunnel", "id", self.id.as_str(), id),
            ("a tunnel of another account", "account", self.account.as_str(), account),
        ];
        for (what, key, own, meant) in both {
            if let Some(meant) = meant.filter(|meant| *meant != own) {
                bail!(
                    "it opens {what}: {own}, but `{key}` in cluster.toml is {meant}\n\
                     hint: take the token of that tunnel, or correct `{key}`"
                );
            }
        }
        Ok(())
    }

    /// As `cloudflared tunnel run --token-file` reads it.
    #[must_use]
    pub fn token(&self) -> SecretString {
        let token = Token {
            account: &self.account,
            id: &self.id,
            secret: self.secret.expose_secret(),
            endpoint: &self.endpoint,
        };
        let json = Zeroizing::new(serde_json::to_vec(&token).unwrap_or_default());
        SecretString::from(STANDARD.encode(&*json))
    }

    /// As `credentials-file` in cloudflared's configuration names it.
    #[must_use]
    pub fn file(&self) -> SecretString {
        let file = File {
            account: &self.account,
            id: &self.id,
            secret: self.secret.expose_secret(),
            endpoint: &self.endpoint,
        };
        SecretString::from(serde_json::to_string(&file).unwrap_or_default())
    }
}

fn parse(text: &str) -> anyhow::Result<Read> {
    ensure!(
        !text.starts_with("-----BEGIN"),
        "it is the certificate of an account: it opens no tunnel"
    );
    if text.starts_with('{') {
        return json(text.as_bytes());
    }
    let bare = |c: char| c.is_ascii_alphanumeric() || "+/=-_".contains(c);
    ensure!(text.chars().all(|c| bare(c) || c.is_whitespace()), "it is neither JSON nor base64");
    // Lines of base64 belong together; words do not: a whole command was copied.
    ensure!(
        !text.contains([' ', '\t']),
        "it is more than one word: the token is only the last of them"
    );
    let joined = Zeroizing::new(text.split_whitespace().collect::<String>());
    let engines = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD];
    let decoded = engines.iter().find_map(|engine| engine.decode(joined.as_bytes()).ok());
    json(&Zeroizing::new(decoded.context("it is not base64: is it cut off?")?))
}

/// What serde says of wrong JSON may hold some of it.
fn json(bytes: &[u8]) -> anyhow::Result<Read> {
    serde_json::from_slice(bytes).ok().context("it does not hold what opens a tunnel")
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
    const ID: &str = "6ff42ae2-765d-4adf-8112-31c55c1551ef";

    fn secret() -> String {
        STANDARD.encode([b'x'; 32])
    }

    fn file() -> String {
        format!(r#"{{"AccountTag":"{ACCOUNT}","TunnelSecret":"{}","TunnelID":"{ID}"}}"#, secret())
    }

    fn token() -> String {
        STANDARD.encode(format!(r#"{{"a":"{ACCOUNT}","t":"{ID}","s":"{}"}}"#, secret()))
    }

    fn read(text: &str) -> anyhow::Result<Credentials> {
        Credentials::read(&SecretString::from(text))
    }

    #[test]
    fn every_form_is_read_and_comes_to_the_same() {
        let wrapped = |text: &str| {
            let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
            lines.join("\n")
        };
        let old = file().replace('}', r#","TunnelName":"x","Endpoint":""}"#).replace(',', ",\n  ");
        for form in [file(), token(), STANDARD.encode(file()), wrapped(&token()), old] {
            let read = read(&form).expect(&form);
            assert_eq!((read.account(), read.id()), (ACCOUNT, ID), "{form}");
            assert_eq!(read.token().expose_secret(), token());
            assert_eq!(read.file().expose_secret(), file());
        }
    }

    #[test]
    fn what_opens_no_tunnel_is_refused_for_its_reason() {
        let short = STANDARD.encode([b'x'; 16]);
        for (text, reason) in [
            ("", "does not hold"),
            ("canary secret", "only the last of them"),
            (&format!("cloudflared service install {}", token()), "only the last of them"),
            ("canary-secret!", "neither JSON nor base64"),
            ("-----BEGIN ARGO TUNNEL TOKEN-----\ncanary", "opens no tunnel"),
            (&token()[..61], "cut off"),
            (&token()[..60], "does not hold"),
            (r#"{"TunnelSecret": 7}"#, "does not hold"),
            ("{}", "no secret"),
            (&file().replace("TunnelID", "x"), "no tunnel (`TunnelID`)"),
            (&file().replace("AccountTag", "x"), "no account (`AccountTag`)"),
            (&file().replace(ACCOUNT, "canary"), "not 32 hexadecimal digits"),
            (&file().replace(ID, "canary"), "not a UUID"),
            (&file().replace(&secret(), &short), "at least 32 bytes"),
            (&file().replace(&secret(), "canary!"), "at least 32 bytes"),
        ] {
            let error = format!("{:#}", read(text).expect_err(text));
            assert!(error.contains(reason), "{text}: {error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn another_tunnel_is_named_with_what_was_meant() {
        let read = read(&token()).expect("a token");
        read.must_be(None, None).expect("nothing is meant");
        read.must_be(Some(ACCOUNT), Some(ID)).expect("it is the one");
        let other = ACCOUNT.replace('0', "f");
        let error = read.must_be(Some(&other), None).expect_err("another").to_string();
        assert!(error.contains(ACCOUNT) && error.contains(&other), "{error}");
        let error = read.must_be(None, Some(&ID.replace('6', "7"))).expect_err("another");
        assert!(error.to_string().contains("another tunnel: 6ff42ae2"), "{error}");
    }

    proptest! {
        #[test]
        fn no_secret_gets_into_an_error(text in "[!-~\n ]{0,80}", secret in "[A-Za-z0-9]{12,40}") {
            let forms = [
                format!("{text}{secret}"),
                file().replace(&self::secret(), &secret),
                STANDARD.encode(format!("{{\"s\":\"{secret}\"}}")),
            ];
            for form in forms {
                if let Err(error) = read(&form) {
                    let error = format!("{error:#}");
                    prop_assert!(!error.contains(&secret) && !error.contains(&form), "{}", error);
                }
            }
        }
    }
}
