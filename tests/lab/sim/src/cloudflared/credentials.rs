//! Tokens and credentials files: who a tunnel belongs to, which one it is, and its secret.

use super::config::Config;
use super::flags::{Command, Invocation};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::fs;

/// What opens a tunnel.
#[derive(Debug, Clone, Deserialize)]
pub struct Credentials {
    /// The account.
    #[serde(rename = "AccountTag", alias = "a")]
    pub account: String,
    /// The secret, base64.
    #[serde(rename = "TunnelSecret", alias = "s")]
    pub secret: String,
    /// The tunnel's id.
    #[serde(rename = "TunnelID", alias = "t", default)]
    pub id: String,
}

/// Finds the credentials that an invocation names.
///
/// # Errors
/// In the words of the real one.
pub fn find(invocation: &Invocation, config: &Config) -> Result<Credentials, String> {
    let token = match (invocation.flag("token"), invocation.flag("token-file")) {
        (Some(token), _) => Some(token),
        (None, Some(file)) => Some(
            fs::read_to_string(&file)
                .map_err(|error| format!("Failed to read token file: open {file}: {error}"))?,
        ),
        (None, None) => None,
    };
    if let Some(token) = token {
        return from_token(token.trim()).ok_or(
            "Provided Tunnel token is not valid.\nSee 'cloudflared tunnel run --help'.".to_owned(),
        );
    }
    let named = match &invocation.command {
        Command::Run(name) => name.clone(),
        _ => None,
    };
    let tunnel = named.or_else(|| config.text("tunnel")).ok_or(
        "\"cloudflared tunnel run\" requires the ID or name of the tunnel to run as the last command line argument or in the configuration file.\nSee 'cloudflared tunnel run --help'.",
    )?;
    let file = invocation.flag("credentials-file").or_else(|| config.text("credentials-file"));
    let file = file.unwrap_or_else(|| format!("/root/.cloudflared/{tunnel}.json"));
    let text = fs::read_to_string(&file)
        .map_err(|_| format!("Tunnel credentials file '{file}' doesn't exist or is not a file"))?;
    let mut read: Credentials = serde_json::from_str(&text).map_err(|_| {
        "Invalid JSON when parsing credentials file. This is expected if your cloudflared version is outdated".to_owned()
    })?;
    if STANDARD.decode(&read.secret).is_err() {
        return Err(
            "Invalid JSON when parsing tunnel credentials file: illegal base64 data".to_owned()
        );
    }
    // Whatever the file says: the tunnel is the one that was asked for.
    read.id = tunnel;
    Ok(read)
}

fn from_token(token: &str) -> Option<Credentials> {
    let read: Credentials = serde_json::from_slice(&STANDARD.decode(token).ok()?).ok()?;
    let whole = !read.account.is_empty() && !read.id.is_empty();
    (whole && STANDARD.decode(&read.secret).is_ok()).then_some(read)
}
