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
    /// The service token, where there is one; one that Cloudflare's side brings, once it came.
    #[must_use]
    pub fn token(&self) -> Option<&ServiceToken> {
        let is_there = |half: &Secret| !half.is_brought() || half.known().is_some();
        self.written().filter(|token| is_there(&token.client_id) && is_there(&token.client_secret))
    }

    /// The service token that Cloudflare's side brings, whether it came or not.
    #[must_use]
    pub fn brought(&self) -> Option<&ServiceToken> {
        self.written().filter(|token| token.client_id.is_brought())
    }

    fn written(&self) -> Option<&ServiceToken> {
        match self {
            Self::Open => None,
            Self::Protected(token) => token.as_ref(),
        }
    }
}

impl ServiceToken {
    /// One that Cloudflare's side brings.
    #[must_use]
    pub fn pending() -> Self {
        Self { client_id: Secret::pending(), client_secret: Secret::pending() }
    }

    /// Fetches both halves, unless that was done before.
    ///
    /// # Errors
    /// When one is not to be had.
    pub fn fetch(&self) -> anyhow::Result<()> {
        self.client_id.fetch().context("cannot get `tunnel.access.client-id`")?;
        self.client_secret.fetch().context("cannot get `tunnel.access.client-secret`")
    }
}
