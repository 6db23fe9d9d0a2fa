//! The parts of Cloudflare's API, each with a permission of its own.

/// A part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// The token itself.
    Token,
    /// The zone.
    Zone,
    /// Names.
    Dns,
    /// Tunnels.
    Tunnels,
    /// Applications and policies of Access.
    Access,
    /// Service tokens of Access.
    ServiceTokens,
    /// Rules of a zone.
    Rules,
}

impl Area {
    /// What the token needs for it, as the dashboard names it.
    #[must_use]
    pub fn permission(self) -> &'static str {
        match self {
            Self::Token => "none",
            Self::Zone => "Zone › Zone: Read",
            Self::Dns => "Zone › DNS: Edit",
            Self::Tunnels => "Account › Cloudflare Tunnel: Edit",
            Self::Access => "Account › Access: Apps and Policies: Edit",
            Self::ServiceTokens => "Account › Access: Service Tokens: Edit",
            Self::Rules => "Zone › Zone WAF: Edit",
        }
    }
}
