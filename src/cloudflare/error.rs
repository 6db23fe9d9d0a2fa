//! What Cloudflare says when it does not do as asked: its own code and message, never the token.

use super::area::Area;

/// Codes that mean: this token may not.
const DENIED: [u64; 2] = [10_000, 9109];

/// A request that came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Cloudflare refused it.
    #[error("{method} {path}: {status}, code {code}: {message}{}", more(documentation.as_deref()))]
    Refused {
        /// The part of the API.
        area: Area,
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// The status of HTTP.
        status: u16,
        /// Cloudflare's code.
        code: u64,
        /// Cloudflare's words.
        message: String,
        /// Where Cloudflare explains it.
        documentation: Option<String>,
    },
    /// Cloudflare wants fewer requests, for longer than we wait.
    #[error(
        "{method} {path}: 429, too many requests: Cloudflare asks to wait another {wait} s\n\
         hint: the same command goes on from here then; whatever else uses this token counts, too"
    )]
    Throttled {
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// How long it asks to wait, seconds.
        wait: u64,
    },
    /// There was no answer.
    #[error("{method} {path}: no answer from Cloudflare's API")]
    Unanswered {
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// Why.
        #[source]
        cause: reqwest::Error,
    },
    /// The answer is none of Cloudflare's.
    #[error(
        "{method} {path}: {status}, and not as Cloudflare's API answers\n\
         hint: `oceanid docs sources.cloudflare-api` says where it is looked for; \
         a proxy in between may answer itself"
    )]
    Foreign {
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// The status of HTTP.
        status: u16,
    },
}

fn more(documentation: Option<&str>) -> String {
    documentation.map_or_else(String::new, |url| format!("\nhint: {url}"))
}

impl ApiError {
    /// The part of the API that the token may not use.
    #[must_use]
    pub fn denied(&self) -> Option<Area> {
        match self {
            Self::Refused { area, status, code, .. } if *status == 403 || DENIED.contains(code) => {
                Some(*area)
            }
            _ => None,
        }
    }

    /// Whether what was asked for is not there.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether the token itself is what is wrong.
    #[must_use]
    pub fn is_of_token(&self) -> bool {
        matches!(self, Self::Refused { status: 400 | 401 | 403, .. })
    }
}

/// The token lacks permissions.
#[derive(Debug, thiserror::Error)]
#[error(
    "the token of `[cloudflare]` may not do everything that cluster.toml asks for\n\
     hint: nothing was changed; give it {}, for the zone `{zone}` and its account, \
     at https://dash.cloudflare.com/profile/api-tokens",
    listed(missing)
)]
pub struct Denied {
    /// What is missing.
    pub missing: Vec<Area>,
    /// The zone.
    pub zone: String,
}

fn listed(missing: &[Area]) -> String {
    let names: Vec<String> =
        missing.iter().map(|area| format!("`{}`", area.permission())).collect();
    names.join(", ")
}
