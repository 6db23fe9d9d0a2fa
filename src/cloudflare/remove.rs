//! What carries our tag is taken away again: first the way in, then who guards it.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::Value;

use super::api::{Api, Progress};
use super::area::Area;
use super::deed::Deed;
use super::seen::{LIMITS, SHIELD, Seen, Tunnel, one};
use super::wanted::Wanted;
use super::{NAME, access, apply, dns, rules};
use crate::cluster::{Cloudflare, Cluster};
use crate::fleet::HostPlan;
use crate::report::{Event, Observer};

/// How much is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Everything that carries our tag.
    All,
    /// What cluster.toml no longer names.
    Leftovers,
}

/// What is to be taken away.
#[derive(Debug)]
pub struct Removal<'a> {
    api: Api,
    wanted: Wanted<'a>,
    account: String,
    deeds: Vec<Deed>,
    notes: Vec<String>,
}

impl<'a> Removal<'a> {
    /// Looks for everything that carries our tag.
    ///
    /// # Errors
    /// When the token is not good or lacks permissions, or Cloudflare does not answer.
    pub async fn find(
        cluster: &'a Cluster,
        settings: &'a Cloudflare,
        which: Which,
        progress: Progress,
    ) -> anyhow::Result<Self> {
        settings.token.fetch().context("cannot get `cloudflare.token`")?;
        let token = settings.token.known().context("`cloudflare.token` is not known")?;
        let api = Api::new(&cluster.sources, token, progress)?;
        let wanted = Wanted::new(cluster, settings, |_| true);
        let mut seen = Seen::look(&api, &wanted).await?;
        let mut removal = Self {
            account: seen.account.clone(),
            deeds: Vec::new(),
            notes: Vec::new(),
            api,
            wanted,
        };
        removal.other_areas(&mut seen).await?;
        removal.tunnels(cluster, &seen, which).await?;
        removal.names(&seen, which);
        removal.guards(&seen, which);
        removal.rules(&seen, which);
        Ok(removal)
    }

    /// What would be taken away, as of a host.
    #[must_use]
    pub fn plan(&self) -> HostPlan {
        let changes = self.deeds.iter().cloned().map(Deed::planned).collect();
        HostPlan { host: String::from(NAME), changes, notes: self.notes.clone() }
    }

    /// Takes it away; how many things it was.
    ///
    /// # Errors
    /// At the first thing that Cloudflare does not let go; the same command goes on from there.
    pub async fn apply(&self, observer: &dyn Observer) -> anyhow::Result<usize> {
        for deed in &self.deeds {
            let (subject, summary) = (deed.subject.as_str(), deed.summary.as_str());
            let begun = Instant::now();
            observer.on(&Event::ChangeStarted { host: NAME, step: NAME, subject, summary });
            let done = apply::perform(&self.api, &self.wanted, &self.account, deed).await;
            done.map_err(|error| apply::told(deed, error))?;
            let took = begun.elapsed();
            observer.on(&Event::ChangeDone { host: NAME, step: NAME, subject, summary, took });
        }
        Ok(self.deeds.len())
    }

    /// Looks also where cluster.toml wants nothing any more, as far as the token may.
    async fn other_areas(&self, seen: &mut Seen) -> anyhow::Result<()> {
        for area in [Area::ServiceTokens, Area::Access, Area::Rules] {
            match seen.refresh(&self.api, &self.wanted, area).await {
                Err(error)
                    if error
                        .downcast_ref::<super::ApiError>()
                        .and_then(super::ApiError::denied)
                        .is_some() => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Tunnels have no place for a tag: ours are those that a record with it leads to.
    async fn tunnels(
        &mut self,
        cluster: &Cluster,
        seen: &Seen,
        which: Which,
    ) -> anyhow::Result<()> {
        let area = Area::Tunnels;
        let mut led: BTreeMap<&str, &str> = BTreeMap::new();
        for record in seen.records.iter().filter(|one| dns::has_tag(one, &self.wanted.tag)) {
            if let Some(id) = record.content.strip_suffix(".cfargotunnel.com") {
                led.insert(id, &record.name);
            }
        }
        let base = format!("/accounts/{}/cfd_tunnel", self.account);
        for id in led.keys() {
            let Some(found) = self.api.find(area, format!("{base}/{id}")).await? else { continue };
            let gone = found.get("deleted_at").is_some_and(|time| !time.is_null());
            let tunnel: Tunnel = one(found)?;
            let named =
                tunnel.name.strip_prefix(&cluster.name).is_some_and(|rest| rest.starts_with('-'));
            let wanted = self.wanted.ways.iter().any(|way| way.name == tunnel.name);
            if gone || !named || (wanted && which == Which::Leftovers) {
                continue;
            }
            let subject = format!("tunnel {}", tunnel.name);
            let mut close = Deed::delete(area, subject.clone(), format!("{base}/{id}/connections"));
            close.summary = String::from("close its connections");
            self.deeds.extend([close, Deed::delete(area, subject, format!("{base}/{id}"))]);
        }
        for tunnel in seen.tunnels.values().filter(|tunnel| !led.contains_key(tunnel.id.as_str())) {
            if which == Which::All {
                self.notes.push(format!(
                    "the tunnel `{}` stays: no record with our comment leads to it, so it may be somebody else's",
                    tunnel.name
                ));
            }
        }
        Ok(())
    }

    fn names(&mut self, seen: &Seen, which: Which) {
        let base = format!("/zones/{}/dns_records", seen.zone.id);
        let records: Vec<_> = match which {
            Which::All => {
                seen.records.iter().filter(|one| dns::has_tag(one, &self.wanted.tag)).collect()
            }
            Which::Leftovers => dns::leftovers(&self.wanted, seen).collect(),
        };
        for record in records {
            let subject = format!("{} {}", record.kind, record.name);
            self.deeds.push(Deed::delete(Area::Dns, subject, format!("{base}/{}", record.id)));
        }
    }

    /// Applications, then the policy that they use, then the service token that it lets in.
    fn guards(&mut self, seen: &Seen, which: Which) {
        let base = format!("/accounts/{}/access", self.account);
        let text = |value: &Value, field: &str| {
            value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let gated: Vec<&str> = self
            .wanted
            .ways
            .iter()
            .filter(|way| way.gated)
            .map(|way| way.tunnel.hostname.as_str())
            .collect();
        let all = which == Which::All;
        for (list, kind, path) in
            [(&seen.apps, "application", "apps"), (&seen.policies, "policy", "policies")]
        {
            for one in list {
                let (name, domain) = (text(one, "name"), text(one, "domain"));
                let wanted = match path {
                    "apps" => gated.contains(&domain.as_str()),
                    _ => !gated.is_empty() && name == self.wanted.policy_name(),
                };
                if self.wanted.is_ours(&name) && (all || !wanted) {
                    let path = format!("{base}/{path}/{}", text(one, "id"));
                    let subject = format!("Access {kind} {name}");
                    self.deeds.push(Deed::delete(Area::Access, subject, path));
                }
            }
        }
        let kept = self.wanted.gate().and_then(|gate| access::find(&self.wanted, seen, gate));
        for token in seen.service_tokens.iter().filter(|token| self.wanted.is_ours(&token.name)) {
            if all || kept.is_none_or(|kept| kept.id != token.id) {
                let path = format!("{base}/service_tokens/{}", token.id);
                let subject = format!("service token {}", token.name);
                self.deeds.push(Deed::delete(Area::ServiceTokens, subject, path));
            }
        }
    }

    fn rules(&mut self, seen: &Seen, which: Which) {
        let limits = self.wanted.limits(seen.zone.plan()).unwrap_or_default();
        for (phase, wanted) in [(SHIELD, self.wanted.shield()), (LIMITS, limits)] {
            let Some(ruleset) = seen.rulesets.get(phase) else { continue };
            for rule in rules::ours(&self.wanted, Some(ruleset)) {
                if which == Which::Leftovers && rules::is_wanted(rule, &wanted) {
                    continue;
                }
                let field = |name| rule.get(name).and_then(Value::as_str).unwrap_or_default();
                let path = format!(
                    "/zones/{}/rulesets/{}/rules/{}",
                    seen.zone.id,
                    ruleset.id,
                    field("id")
                );
                let subject = format!("rule {}", field("description"));
                self.deeds.push(Deed::delete(Area::Rules, subject, path));
            }
        }
    }
}
