//! The ways in from outside, as they are meant to be.

use super::Access;
use crate::secret::Secret;

/// A tunnel of Cloudflare that ends on a node.
#[derive(Debug, Clone)]
pub struct Tunnel {
    /// The node that it ends on.
    pub node: String,
    /// The public name.
    pub hostname: String,
    /// The token that opens it.
    pub token: Option<Secret>,
    /// Who may come in.
    pub access: Access,
}

/// The program that keeps tunnels open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloudflared {
    /// Its exact version.
    pub version: String,
}
