//! What a tunnel leads to, as cluster.toml says it.

use super::Way;
use crate::script::quote;

/// What a tunnel leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    /// Triton, on the same node.
    Triton,
    /// A web server.
    Web(String),
    /// A web server at a socket of the node.
    Socket(String),
    /// cloudflared itself, which answers with this status.
    Itself(u16),
    /// Something that does not speak HTTP.
    Foreign,
}

impl Service {
    /// What stands in cluster.toml for `way`.
    #[must_use]
    pub fn of(way: Way<'_>) -> Self {
        let text = way.service();
        if let Some(triton) = way.cluster.triton.as_ref().filter(|_| way.host.gpu)
            && same(&text, &format!("http://127.0.0.1:{}", triton.ports.http))
        {
            return Self::Triton;
        }
        if let Some(status) = text.strip_prefix("http_status:") {
            return Self::Itself(status.parse().unwrap_or(404));
        }
        if let Some(path) = text.strip_prefix("unix:").or_else(|| text.strip_prefix("unix+tls:")) {
            return Self::Socket(path.to_owned());
        }
        match text.split_once("://") {
            None => Self::Itself(200),
            Some(("http" | "https", _)) => Self::Web(text),
            Some(("ws", rest)) => Self::Web(format!("http://{rest}")),
            Some(("wss", rest)) => Self::Web(format!("https://{rest}")),
            Some(_) => Self::Foreign,
        }
    }

    /// curl's arguments for a call on the node; `None` where there is nothing to call there.
    pub(super) fn arguments(&self, way: Way<'_>) -> Option<String> {
        let url = |base: &str| quote(&format!("{}{}", base.trim_end_matches('/'), way.asked()));
        match self {
            Self::Triton => Some(format!("-- {}", url(&way.service()))),
            Self::Web(base) => Some(format!("-- {}", url(base))),
            Self::Socket(path) => {
                let scheme = if way.service().starts_with("unix+tls:") { "https" } else { "http" };
                let url = url(&format!("{scheme}://localhost"));
                Some(format!("--unix-socket {} -- {url}", quote(path)))
            }
            Self::Itself(_) | Self::Foreign => None,
        }
    }
}

/// Whether two URLs are the same service of one node.
pub(super) fn same(one: &str, other: &str) -> bool {
    let plain = |url: &str| {
        let url = url.trim_end_matches('/').to_ascii_lowercase();
        url.replacen("://localhost", "://127.0.0.1", 1).replacen("://[::1]", "://127.0.0.1", 1)
    };
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn loopback_has_several_names() {
        assert!(same("http://localhost:8000", "http://127.0.0.1:8000/"));
        assert!(!same("https://localhost:8000", "http://127.0.0.1:8000"));
        assert!(!same("http://localhost:8001", "http://127.0.0.1:8000"));
    }
}
