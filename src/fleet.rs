//! Several hosts in one run: connect to all, look at all, then wave after wave.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use futures::future::join_all;

use crate::cluster::{Cluster, Host, Role};
use crate::engine::{self, Planned, Seen};
use crate::facts::{self, Facts, Gpu};
use crate::releases::Releases;
use crate::remote::{Remote, RemoteError};
use crate::report::{Event, Observer};
use crate::secret::Endpoint;
use crate::step::Step;
use crate::steps::{self, Inputs, Servers, Terms, Wave};

pub use fitness::Unfit;
pub use selection::{OldNodes, Selection};

mod across;
mod doctor;
mod fitness;
mod guards;
mod selection;
mod waves;

/// The way to a host: SSH or this machine in production, a fake in tests.
pub trait Dial: Send + Sync {
    /// What it connects.
    type Remote: Remote;
    /// Connects to `host`, within its deadline, and tells `observer` while it waits.
    fn dial(
        &self,
        host: &Host,
        observer: &dyn Observer,
    ) -> impl Future<Output = Result<Self::Remote, RemoteError>> + Send;
}

/// A host that we are in.
#[derive(Debug)]
pub struct Member<'a, R> {
    /// cluster.toml's view.
    pub host: &'a Host,
    /// The connection.
    pub remote: R,
    /// The host's own view.
    pub facts: Facts,
}

/// What a look showed for one host.
#[derive(Debug)]
pub struct HostPlan {
    /// The host's name.
    pub host: String,
    /// What is to change, in order.
    pub changes: Vec<Planned>,
    /// What is worth knowing although it is left alone.
    pub notes: Vec<String>,
}

/// What a host came to.
#[derive(Debug)]
pub struct Failure {
    /// The host's name.
    pub host: String,
    /// Why.
    pub error: anyhow::Error,
}

/// A run over several hosts.
#[derive(Debug)]
pub struct Fleet<'a, D, O> {
    /// cluster.toml as meant.
    pub cluster: &'a Cluster,
    /// The way to the hosts.
    pub dial: &'a D,
    /// Hears what happens.
    pub observer: &'a O,
    /// Which steps on which hosts.
    pub selection: &'a Selection,
    /// How many agents at a time.
    pub parallel: usize,
    /// The command: `bootstrap`, `join calypso`.
    pub purpose: &'a str,
    /// The database outside of k3s, once its endpoint was asked for.
    pub datastore: &'a OnceLock<Endpoint>,
    /// The GPUs of hosts, by node, once they were asked.
    pub gpus: OnceLock<BTreeMap<String, Gpu>>,
    /// Set when the operator wants to stop.
    pub stop: &'a AtomicBool,
    /// When the run began.
    pub begun: Instant,
}

impl<'a, D: Dial, O: Observer> Fleet<'a, D, O> {
    /// The hosts that the run has to do with: the selected ones, and the first server, whose API and token they need.
    #[must_use]
    pub fn hosts(&self) -> Vec<&'a Host> {
        if !self.selection.has_hosts() {
            return Vec::new();
        }
        let first = &self.cluster.first_server().name;
        let wanted = |host: &&Host| self.selection.has_node(&host.name) || host.name == *first;
        self.cluster.hosts.iter().filter(wanted).collect()
    }

    /// Whether the host of that name was selected.
    #[must_use]
    pub fn is_selected(&self, name: &str) -> bool {
        self.selection.has_node(name)
    }

    fn selected(&self) -> Vec<&'a Host> {
        self.cluster.hosts.iter().filter(|host| self.selection.has_node(&host.name)).collect()
    }

    /// Connects to every host and asks what it is; who fails is no reason not to look at the others.
    pub async fn reach(&self) -> Vec<Result<Member<'a, D::Remote>, Failure>> {
        join_all(self.hosts().into_iter().map(|host| self.enter(host))).await
    }

    /// Connects to every host and asks what it is; one failure stops the run before anything is touched.
    ///
    /// # Errors
    /// With every host that could not be entered or is not fit.
    pub async fn muster(&self) -> Result<Vec<Member<'a, D::Remote>>, Vec<Failure>> {
        let found = self.reach().await;
        let mut members = Vec::new();
        let mut failures = Vec::new();
        for result in found {
            match result {
                Ok(member) => members.push(member),
                Err(failure) => failures.push(failure),
            }
        }
        if failures.is_empty() {
            failures = across::compare(&members, self.observer);
        }
        let gpus = members
            .iter()
            .filter_map(|member| Some((member.host.name.clone(), member.facts.gpu.clone()?)));
        self.gpus.get_or_init(|| gpus.collect());
        if failures.is_empty() { Ok(members) } else { Err(failures) }
    }

    async fn enter(&self, host: &'a Host) -> Result<Member<'a, D::Remote>, Failure> {
        let failed = |error: anyhow::Error| Failure { host: host.name.clone(), error };
        let remote =
            self.dial.dial(host, self.observer).await.map_err(|error| failed(error.into()))?;
        self.observer.on(&Event::Connected { host: &host.name });
        let facts = gather(&remote, host).await.map_err(failed)?;
        Ok(Member { host, remote, facts })
    }

    fn steps(
        &self,
        member: &Member<'a, D::Remote>,
        first_server: Option<&Facts>,
        releases: &Releases,
        waves: &[Wave],
        (lost, terms): (&[Failure], Terms<'_>),
    ) -> anyhow::Result<Vec<Step>> {
        let mut nodes = self.selected();
        nodes.retain(|host| lost.iter().all(|failure| failure.host != host.name));
        let inputs = Inputs {
            cluster: self.cluster,
            host: member.host,
            facts: &member.facts,
            nodes: &nodes,
            first_server,
            datastore: self.datastore.get(),
            gpus: self.gpus.get(),
            releases,
            terms,
        };
        let wanted = steps::ALL.iter().filter(|entry| {
            waves.contains(&entry.wave)
                && self.selection.has_step(entry.name)
                && (entry.concerns)(self.cluster, member.host)
                && (entry.wave == Wave::Cluster || self.is_concerned(&member.host.name, entry.name))
        });
        wanted
            .map(|entry| {
                (entry.build)(&inputs).with_context(|| {
                    format!("`{}` is not fit for step `{}`", member.host.name, entry.name)
                })
            })
            .collect()
    }

    /// Whether `step` is for the host `name`: the first server must let in nodes that join it, forget old ones, and be well.
    fn is_concerned(&self, name: &str, step: &str) -> bool {
        self.selection.has_node(name) || ["firewall", "etcd", "old-nodes"].contains(&step)
    }

    /// The selected hosts on which k3s could not run as wanted, where the run has to do with k3s.
    fn unfit(&self, members: &[Member<'a, D::Remote>]) -> Vec<Failure> {
        if !["k3s-server", "k3s-agent"].iter().any(|step| self.selection.has_step(step)) {
            return Vec::new();
        }
        fitness::judge(self.cluster, members, self.selection, self.observer)
    }

    /// Names of selected agents that are another machine's, where that one's node is to be removed.
    fn replaced(&self, members: &[Member<'a, D::Remote>]) -> Vec<String> {
        let roll = first_server(self.cluster, members).and_then(|facts| facts.roll.as_ref());
        let (Some(roll), OldNodes::Removed) = (roll, self.selection.old_nodes) else {
            return Vec::new();
        };
        let agents = members.iter().filter(|member| {
            member.host.role == Role::Agent
                && self.is_selected(&member.host.name)
                && steps::taken(roll, member.host, &member.facts).is_some()
        });
        agents.map(|member| member.host.name.clone()).collect()
    }

    /// What a look before the run may count on.
    fn forecast_terms<'t>(&self, replaced: &'t [String]) -> Terms<'t> {
        let name = &self.cluster.first_server().name;
        let comes = self.is_selected(name) && self.selection.has_step("k3s-server");
        let servers = if comes { Servers::Pending } else { Servers::Settled };
        Terms { servers, replaced }
    }

    /// Looks at every host and says what would change: one execution a host, nothing is written.
    ///
    /// # Errors
    /// With every host that cannot be looked at.
    pub async fn plan(
        &self,
        members: &[Member<'a, D::Remote>],
        releases: &Releases,
    ) -> Result<Vec<HostPlan>, Vec<Failure>> {
        let unfit = self.unfit(members);
        if !unfit.is_empty() {
            return Err(unfit);
        }
        let mut plans = Vec::new();
        let mut failures = Vec::new();
        for result in self.plan_each(members, releases).await {
            match result {
                Ok(plan) => plans.push(plan),
                Err(failure) => failures.push(failure),
            }
        }
        if failures.is_empty() { Ok(plans) } else { Err(failures) }
    }

    /// As [`Self::plan`], for each host by itself and in the order of `members`.
    pub async fn plan_each(
        &self,
        members: &[Member<'a, D::Remote>],
        releases: &Releases,
    ) -> Vec<Result<HostPlan, Failure>> {
        let first = first_server(self.cluster, members);
        let replaced = self.replaced(members);
        let terms = self.forecast_terms(&replaced);
        let looks = members.iter().map(|member| async move {
            let failed = |error: anyhow::Error| Failure { host: member.host.name.clone(), error };
            let waves = &[Wave::Ground, Wave::Host, Wave::Cluster];
            let list = self.steps(member, first, releases, waves, (&[], terms)).map_err(failed)?;
            let list: Vec<&Step> = list.iter().collect();
            let Seen { changes, notes } =
                engine::look(&member.remote, &list).await.map_err(failed)?;
            self.observer.on(&Event::Planned {
                host: &member.host.name,
                changes: &changes,
                notes: &notes,
            });
            Ok(HostPlan { host: member.host.name.clone(), changes, notes })
        });
        join_all(looks).await
    }
}

/// The facts of the first server, where it is among `members`.
#[must_use]
pub fn first_server<'m, R>(cluster: &Cluster, members: &'m [Member<'_, R>]) -> Option<&'m Facts> {
    let name = &cluster.first_server().name;
    members.iter().find(|member| member.host.name == *name).map(|member| &member.facts)
}

/// Asks a connected host what it is.
///
/// # Errors
/// When it does not answer or is not a host that oceanid can work with.
pub async fn gather<R: Remote>(remote: &R, host: &Host) -> anyhow::Result<Facts> {
    let asked_at = now();
    let script =
        if host.gpu { facts::script_with_gpu(host.role) } else { facts::script(host.role) };
    let output = remote.run(&script, &|_: &str| ()).await?;
    facts::read(&output, f64::midpoint(asked_at, now()))
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A name for a run that sorts by time and that no other run has.
#[must_use]
pub fn run_name() -> String {
    let nonce = crate::probe::nonce();
    let short = nonce.get(1..7).unwrap_or(&nonce);
    format!("{}-{short}", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"))
}
