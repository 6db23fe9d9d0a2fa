//! What oceanid keeps in order at Cloudflare, as it is meant to be.

use crate::secret::Secret;

/// What oceanid keeps in order at Cloudflare.
#[derive(Debug, Clone)]
pub struct Cloudflare {
    /// A token for its API.
    pub token: Secret,
}
