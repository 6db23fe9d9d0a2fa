//! What runs beside k3s, as far as its versions are locked.

/// The way in from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnel {
    /// The node that it ends on.
    pub node: String,
    /// The exact version of cloudflared.
    pub version: String,
}
