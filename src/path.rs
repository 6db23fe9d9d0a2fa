//! The path of a tunnel, walked hop by hop: from the service on its node to a call from within a pod.

use futures::future::join3;
use serde::Serialize;

use crate::cluster::{Access, Cluster, Host, Tunnel};
use crate::doctor::Finding;
use crate::remote::{Remote, RemoteError};

pub use answer::{Answer, Reply};
pub use node::{Seen, ask as ask_node};
pub use pod::ask as ask_pod;
pub use public::Public;
pub use service::Service;

mod answer;
mod blocks;
mod causes;
mod inside;
mod node;
mod pod;
mod public;
mod service;
#[cfg(test)]
mod tests;
mod verdicts;

/// A part of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hop {
    /// The service, on the node's loopback.
    Service,
    /// What cloudflared leads the public name to.
    Cloudflared,
    /// cloudflared's connections to Cloudflare.
    Edge,
    /// The addresses of the public name.
    Dns,
    /// A call of the public name from here, without credentials.
    WithoutCredentials,
    /// The same call with the service token.
    WithCredentials,
    /// The same call from within a pod.
    Pod,
}

impl Hop {
    /// What it is called, for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Cloudflared => "cloudflared",
            Self::Edge => "edge",
            Self::Dns => "dns",
            Self::WithoutCredentials => "without credentials",
            Self::WithCredentials => "with credentials",
            Self::Pod => "from a pod",
        }
    }
}

/// What came of a hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is as it should be: how that shows.
    Holds(String),
    /// It could not be looked at: why not.
    Unknown(String),
    /// It is not, and the path ends there.
    Broken(Finding),
}

/// A hop, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The hop.
    pub hop: Hop,
    /// What came of it.
    pub verdict: Verdict,
}

/// A tunnel, and where it should lead to.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// cluster.toml as meant.
    pub cluster: &'a Cluster,
    /// The tunnel.
    pub tunnel: &'a Tunnel,
    /// The node that it ends on.
    pub host: &'a Host,
}

impl<'a> Way<'a> {
    /// The way of every tunnel that ends on one of the cluster's nodes.
    pub fn all(cluster: &'a Cluster) -> impl Iterator<Item = Self> {
        let host = |tunnel: &'a Tunnel| cluster.host(&tunnel.node);
        cluster
            .tunnels
            .iter()
            .filter_map(move |tunnel| Some(Self { cluster, tunnel, host: host(tunnel)? }))
    }

    /// The public name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.tunnel.hostname
    }

    /// The service, as cloudflared on the node reaches it.
    #[must_use]
    pub fn service(&self) -> String {
        String::from("http://127.0.0.1:8000")
    }

    /// Whether it leads to Triton.
    #[must_use]
    pub fn is_to_triton(&self) -> bool {
        Service::of(*self) == Service::Triton
    }

    /// What is asked for there.
    #[must_use]
    pub fn asked(&self) -> &'static str {
        if self.is_to_triton() { "/v2/health/ready" } else { "/" }
    }
}

/// Walks to the first hop that is broken: `node` is the tunnel's, `others` are hosts that may have pods.
///
/// # Errors
/// When the tunnel's node does not answer.
pub async fn walk<R: Remote>(
    way: Way<'_>,
    node: &R,
    others: &[(&str, &R)],
    public: &Public,
) -> Result<Vec<Told>, RemoteError> {
    let script = node::ask(way);
    let (output, addresses, stranger) =
        join3(node.run(&script, &|_: &str| ()), public.addresses(), public.call(way, None)).await;
    let seen = Seen::read(&output?.stdout);
    let mut told = Vec::new();
    for (hop, verdict) in [
        (Hop::Service, verdicts::service(way, &seen)),
        (Hop::Cloudflared, verdicts::cloudflared(way, &seen)),
        (Hop::Edge, verdicts::edge(way, &seen)),
        (Hop::Dns, verdicts::dns(way, addresses)),
        (Hop::WithoutCredentials, verdicts::stranger(way, &seen, &stranger)),
    ] {
        let broken = matches!(verdict, Verdict::Broken(_));
        told.push(Told { hop, verdict });
        if broken {
            return Ok(told);
        }
    }
    if let Access::Protected(token) = &way.tunnel.access {
        let Some(token) = token else {
            let why = String::from("`access` of the tunnel names no service token");
            for hop in [Hop::WithCredentials, Hop::Pod] {
                told.push(Told { hop, verdict: Verdict::Unknown(why.clone()) });
            }
            return Ok(told);
        };
        let call = public.call(way, Some(token)).await;
        let verdict = verdicts::comes_in(way, &seen, &call);
        let broken = matches!(verdict, Verdict::Broken(_));
        told.push(Told { hop: Hop::WithCredentials, verdict });
        if broken {
            return Ok(told);
        }
    }
    told.push(Told { hop: Hop::Pod, verdict: pod::call(way, &seen, others).await });
    Ok(told)
}
