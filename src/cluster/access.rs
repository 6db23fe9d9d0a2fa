//! Who may come in through a tunnel, as it is meant to be.

use anyhow::Context as _;

use crate::secret::Secret;

/// Who may come in through a tunnel.
#[derive(Debug, Clone)]
pub enum Access {
    /// Everybody.
    Open,
    /// Whom Cloudflare Access lets in: this service token, where there is one.
    Protected(Option<ServiceToken>),
}

/// A service token of Cloudflare Access.
#[derive(Debug, Clone)]
pub struct ServiceToken {
    /// Its name at Cloudflare, in a request.
    pub client_id: Secret,
    /// What proves it.
    pub client_secret: Secret,
}

impl Access {
    /// The service token, where there is one.
    #[must_use]
    pub fn token(&self) -> Option<&ServiceToken> {
        match self {
            Self::Open => None,
            Self::Protected(token) => token.as_ref(),
        }
    }
}

impl ServiceToken {
    /// Fetches both halves, unless that was done before.
    ///
    /// # Errors
    /// When one is not to be had.
    pub fn fetch(&self) -> anyhow::Result<()> {
        self.client_id.fetch().context("cannot get `tunnel.access.client-id`")?;
        self.client_secret.fetch().context("cannot get `tunnel.access.client-secret`")
    }
}
