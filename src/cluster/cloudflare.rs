//! What oceanid keeps in order at Cloudflare, as it is meant to be.

use std::path::PathBuf;

use crate::secret::Secret;

/// What oceanid keeps in order at Cloudflare.
#[derive(Debug, Clone)]
pub struct Cloudflare {
    /// A token for its API.
    pub token: Secret,
    /// The account's id; otherwise the account that has the zone.
    pub account: Option<String>,
    /// The zone's name.
    pub zone: String,
    /// Who may come in to nodes with a GPU, where that is kept in order.
    pub gate: Option<Gate>,
    /// What is kept out, where that is wanted.
    pub shield: Option<Shield>,
    /// How many requests an address may make.
    pub rate_limit: Option<RateLimit>,
}

/// A service token that Access lets in, and nobody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// The service token's name, without what marks it as ours.
    pub service_token: String,
    /// How long it is good: `8760h`, `forever`.
    pub duration: String,
    /// Where its secret goes.
    pub store: Store,
}

/// Where a secret goes that is shown once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// Into a file of this machine, 0600.
    File(PathBuf),
    /// To the stdin of this command.
    Command(Vec<String>),
}

/// What the web application firewall keeps out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shield {
    /// Countries from which nobody comes in.
    pub countries: Vec<String>,
}

/// How many requests an address may make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// How many.
    pub requests: u64,
    /// Within so many seconds.
    pub period: u64,
    /// For so many seconds it is kept out then.
    pub timeout: u64,
    /// What the paths begin with that count.
    pub path: String,
}
