//! Cloudflare's side: tunnels, names, who may come in, and rules, over its API.
//!
//! What carries our tag is ours: the comment `oceanid:NAME` of a DNS record, a name that begins
//! with it, the reference of a rule. Nothing else is ever changed or removed.

mod access;
mod api;
mod apply;
mod area;
mod deed;
mod dns;
mod error;
mod login;
mod plan;
mod remove;
mod rules;
mod seen;
mod store;
mod tunnels;
mod wanted;

use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;

use crate::cluster::{Cloudflare, Cluster};
use crate::fleet::HostPlan;
use crate::report::Observer;

pub use access::SHORT;
use api::Api;
pub use api::Progress;
use area::Area;
use deed::Deed;
pub use error::{ApiError, Denied};
pub use remove::{Removal, Which};

/// How it is called beside the hosts, and among the steps.
pub const NAME: &str = "cloudflare";

/// Cloudflare as it was seen.
#[derive(Debug)]
pub struct Desk<'a> {
    api: Api,
    wanted: wanted::Wanted<'a>,
    seen: seen::Seen,
}

/// The service token, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceToken {
    /// Its name.
    pub name: String,
    /// What clients call themselves.
    pub client_id: String,
    /// When it ends, where it does.
    pub ends: Option<Timestamp>,
}

impl<'a> Desk<'a> {
    /// Looks at everything that the nodes which `has` names have to do with.
    ///
    /// # Errors
    /// When the token is not good or lacks permissions, or Cloudflare does not answer.
    pub async fn open(
        cluster: &'a Cluster,
        settings: &'a Cloudflare,
        has: impl Fn(&str) -> bool,
        progress: Progress,
    ) -> anyhow::Result<Self> {
        settings.token.fetch().context("cannot get `cloudflare.token`")?;
        let token = settings.token.known().context("`cloudflare.token` is not known")?;
        let api = Api::new(&cluster.sources, token, progress)?;
        let wanted = wanted::Wanted::new(cluster, settings, has);
        let seen = seen::Seen::look(&api, &wanted).await?;
        Ok(Self { api, wanted, seen })
    }

    /// What would change, as of a host.
    ///
    /// # Errors
    /// When something of somebody else's is in the way.
    pub fn plan(&self) -> anyhow::Result<HostPlan> {
        let plan::Plan { deeds, notes, .. } = plan::plan(&self.wanted, &self.seen)?;
        let changes = deeds.into_iter().map(Deed::planned).collect();
        Ok(HostPlan { host: String::from(NAME), changes, notes })
    }

    /// Brings it about; `made` counts the changes.
    ///
    /// # Errors
    /// At the first change that cannot be made; the same command goes on from there.
    pub async fn apply(
        &mut self,
        observer: &dyn Observer,
        stop: &AtomicBool,
        made: &mut usize,
    ) -> anyhow::Result<()> {
        apply::apply(&self.api, &self.wanted, &mut self.seen, (observer, stop), made).await
    }

    /// Fetches the tokens of tunnels that cluster.toml names no credentials of.
    ///
    /// # Errors
    /// When Cloudflare refuses, or does not answer.
    pub async fn bring_tokens(&self) -> anyhow::Result<()> {
        for way in &self.wanted.ways {
            let (Some(secret), Some(tunnel)) =
                (&way.tunnel.token, self.seen.tunnels.get(&way.name))
            else {
                continue;
            };
            if !secret.is_brought() || secret.known().is_some() {
                continue;
            }
            let path = format!("/accounts/{}/cfd_tunnel/{}/token", self.seen.account, tunnel.id);
            // The answer is the token itself.
            match self.api.get(Area::Tunnels, path).await? {
                Value::String(token) => secret.fill(SecretString::from(token)),
                _ => anyhow::bail!("Cloudflare shows no token for the tunnel `{}`", way.name),
            }
        }
        Ok(())
    }

    /// The service token that comes in, where there is one.
    #[must_use]
    pub fn service_token(&self) -> Option<ServiceToken> {
        let gate = self.wanted.gate()?;
        let found = access::find(&self.wanted, &self.seen, gate)?;
        let (name, client_id) = (found.name.clone(), found.client_id.clone());
        Some(ServiceToken { name, client_id, ends: found.expires_at })
    }
}
