//! What is there at Cloudflare: questions alone.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::api::{Api, encoded};
use super::area::Area;
use super::error::{ApiError, Denied};
use super::wanted::Wanted;

/// The phase of rules that block.
pub const SHIELD: &str = "http_request_firewall_custom";
/// The phase of rules that count.
pub const LIMITS: &str = "http_ratelimit";

/// What is there.
#[derive(Debug)]
pub struct Seen {
    /// The zone.
    pub zone: Zone,
    /// The account's id.
    pub account: String,
    /// When it was looked at.
    pub now: Timestamp,
    /// When the token of the API ends, where it does.
    pub token_ends: Option<Timestamp>,
    /// Tunnels that were not deleted, by name, with their configuration where it is Cloudflare's.
    pub tunnels: BTreeMap<String, Tunnel>,
    /// Records of our names, and all that carry our tag.
    pub records: Vec<Record>,
    /// Applications of Access.
    pub apps: Vec<Value>,
    /// Policies of Access.
    pub policies: Vec<Value>,
    /// Service tokens.
    pub service_tokens: Vec<ServiceToken>,
    /// Rules by phase; a phase without a ruleset is not there.
    pub rulesets: BTreeMap<&'static str, Ruleset>,
}

/// A zone.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Zone {
    /// Its id.
    pub id: String,
    /// `active` once its name servers are Cloudflare's.
    pub status: String,
    /// Cloudflare answers names and is otherwise passed by.
    pub paused: bool,
    account: Account,
    plan: Plan,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Account {
    id: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Plan {
    legacy_id: String,
}

impl Zone {
    /// `free`, `pro`, `business`, `enterprise`.
    #[must_use]
    pub fn plan(&self) -> &str {
        &self.plan.legacy_id
    }
}

/// A tunnel.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Tunnel {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `local`, or `cloudflare` for one whose ingress is kept there.
    pub config_src: String,
    /// `healthy`, `degraded`, `down`, `inactive`.
    pub status: String,
    /// What is kept there.
    #[serde(skip)]
    pub config: Value,
}

/// A DNS record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Its id.
    pub id: String,
    /// `CNAME`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The whole name.
    pub name: String,
    /// Where it leads.
    pub content: String,
    /// Requests go through Cloudflare.
    pub proxied: bool,
    /// What somebody wrote beside it.
    pub comment: Option<String>,
}

/// A service token, of whose secret nothing is known.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ServiceToken {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What clients call themselves.
    pub client_id: String,
    /// How long it is good.
    pub duration: String,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// The rules of a phase.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Ruleset {
    /// Its id.
    pub id: String,
    /// The rules, ours and others'.
    pub rules: Vec<Value>,
}

impl Seen {
    /// Looks at everything that `wanted` has to do with.
    ///
    /// # Errors
    /// When the token is not good, lacks permissions, or Cloudflare does not answer.
    pub async fn look(api: &Api, wanted: &Wanted<'_>) -> anyhow::Result<Self> {
        let (zone, token_ends) = super::login::enter(api, wanted).await?;
        let mut seen = Self {
            account: zone.account.id.clone(),
            zone,
            now: Timestamp::now(),
            token_ends,
            tunnels: BTreeMap::new(),
            records: Vec::new(),
            apps: Vec::new(),
            policies: Vec::new(),
            service_tokens: Vec::new(),
            rulesets: BTreeMap::new(),
        };
        // All that is missing is named at once.
        let mut missing = Vec::new();
        for area in areas(wanted) {
            match seen.refresh(api, wanted, area).await {
                Ok(()) => {}
                Err(error) => match error.downcast_ref::<ApiError>().and_then(ApiError::denied) {
                    Some(area) => missing.push(area),
                    None => return Err(error),
                },
            }
        }
        if missing.is_empty() {
            return Ok(seen);
        }
        missing.dedup();
        bail!(Denied { missing, zone: wanted.settings.zone.clone() })
    }

    /// Looks again at one part.
    ///
    /// # Errors
    /// When Cloudflare refuses, or does not answer.
    pub async fn refresh(
        &mut self,
        api: &Api,
        wanted: &Wanted<'_>,
        area: Area,
    ) -> anyhow::Result<()> {
        let account = format!("/accounts/{}", self.account);
        match area {
            Area::Tunnels => self.tunnels = tunnels(api, wanted, &account).await?,
            Area::Dns => self.records = records(api, wanted, &self.zone.id).await?,
            Area::Access => {
                self.apps = api.list(area, &format!("{account}/access/apps")).await?;
                self.policies = api.list(area, &format!("{account}/access/policies")).await?;
            }
            Area::ServiceTokens => {
                let path = format!("{account}/access/service_tokens");
                self.service_tokens = all(api.list(area, &path).await?)?;
            }
            Area::Rules => {
                for phase in [SHIELD, LIMITS] {
                    let path =
                        format!("/zones/{}/rulesets/phases/{phase}/entrypoint", self.zone.id);
                    self.rulesets.remove(phase);
                    if let Some(found) = api.find(area, path).await? {
                        self.rulesets.insert(phase, one(found)?);
                    }
                }
            }
            Area::Token | Area::Zone => {}
        }
        Ok(())
    }
}

/// The parts of the API that this has to do with: nothing else needs a permission.
fn areas(wanted: &Wanted<'_>) -> Vec<Area> {
    let settings = wanted.settings;
    let mut areas = Vec::new();
    if wanted.gate().is_some() {
        areas.extend([Area::ServiceTokens, Area::Access]);
    }
    if settings.shield.is_some() || settings.rate_limit.is_some() {
        areas.push(Area::Rules);
    }
    areas.extend([Area::Tunnels, Area::Dns]);
    areas
}

async fn tunnels(
    api: &Api,
    wanted: &Wanted<'_>,
    account: &str,
) -> anyhow::Result<BTreeMap<String, Tunnel>> {
    let mut found = BTreeMap::new();
    for way in &wanted.ways {
        // Deleted ones are listed unless they are not wanted, and names may repeat among them.
        let path = format!("{account}/cfd_tunnel?name={}&is_deleted=false", encoded(&way.name));
        let list: Vec<Tunnel> = all(api.list(Area::Tunnels, &path).await?)?;
        let mut named = list.into_iter().filter(|tunnel| tunnel.name == way.name);
        let Some(mut tunnel) = named.next() else { continue };
        ensure!(named.next().is_none(), "there are two tunnels called `{}`", way.name);
        if tunnel.config_src == "cloudflare" {
            let path = format!("{account}/cfd_tunnel/{}/configurations", tunnel.id);
            let kept = api.get(Area::Tunnels, path).await?;
            tunnel.config = kept.get("config").cloned().unwrap_or_default();
        }
        found.insert(way.name.clone(), tunnel);
    }
    Ok(found)
}

async fn records(api: &Api, wanted: &Wanted<'_>, zone: &str) -> anyhow::Result<Vec<Record>> {
    let path = format!("/zones/{zone}/dns_records");
    let tag = format!("{path}?comment.exact={}", encoded(&wanted.tag));
    let mut found: Vec<Record> = all(api.list(Area::Dns, &tag).await?)?;
    for way in &wanted.ways {
        let named = format!("{path}?name.exact={}", encoded(&way.tunnel.hostname));
        let list: Vec<Record> = all(api.list(Area::Dns, &named).await?)?;
        found.extend(list.into_iter().filter(|record| way.tunnel.hostname == record.name));
    }
    found.sort_by(|one, other| one.id.cmp(&other.id));
    found.dedup();
    Ok(found)
}

/// Reads a thing that Cloudflare showed.
pub(super) fn one<T: for<'de> Deserialize<'de>>(value: Value) -> anyhow::Result<T> {
    serde_json::from_value(value).context("Cloudflare's API shows something of another shape")
}

fn all<T: for<'de> Deserialize<'de>>(values: Vec<Value>) -> anyhow::Result<Vec<T>> {
    values.into_iter().map(one).collect()
}

impl Zone {
    /// The id of the account that has it.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account.id
    }
}
