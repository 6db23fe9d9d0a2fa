//! What every command that contacts hosts needs: the cluster, the connections, somebody to tell.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::Context as _;

use super::terminal::Terminal;
use super::{Stop, beside};
use crate::cli::{Global, Steps, Target};
use crate::cloudflare::{self, Desk};
use crate::cluster::{Cluster, Datastore, Gpu, Host};
use crate::config::{self, Diagnostic};
use crate::fleet::{Dial, Failure, Fleet, HostPlan, Member, Selection};
use crate::releases::Releases;
use crate::remote::{AnyRemote, Connector, Local, RemoteError, Waiting};
use crate::report::{Deed, Event, Exit, Human, Json, Observer, Totals, exit_code};
use crate::secret::Endpoint;
use crate::steps;

/// The command line is well-formed and yet makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// The way that the reports take.
#[derive(Clone)]
pub enum Teller {
    /// For people, on stderr.
    Human(Arc<Human>),
    /// For programs, on stdout.
    Json(Arc<Json>),
}

impl Observer for Teller {
    fn on(&self, event: &Event<'_>) {
        match self {
            Self::Human(human) => human.on(event),
            Self::Json(json) => json.on(event),
        }
    }
}

impl Teller {
    /// Lets `ask` have the screen.
    pub fn suspend<T>(&self, ask: impl FnOnce() -> T) -> T {
        match self {
            Self::Human(human) => human.suspend(ask),
            Self::Json(_) => ask(),
        }
    }
}

/// What every command that contacts hosts needs.
pub struct Context {
    /// cluster.toml as meant.
    pub cluster: Cluster,
    /// Where cluster.toml is.
    pub file: PathBuf,
    /// Hears what happens.
    pub teller: Teller,
    /// Whether the answer is for programs.
    pub json: bool,
    stop: Arc<Stop>,
    warnings: Vec<Diagnostic>,
    datastore: OnceLock<Endpoint>,
    begun: Instant,
}

impl Context {
    /// Reads cluster.toml.
    pub fn new(global: &Global, stop: Arc<Stop>) -> anyhow::Result<Self> {
        let loaded = config::load(&global.file)?;
        let beside = loaded.cluster.cloudflare.as_ref().map(|_| cloudflare::NAME);
        let hosts = loaded.cluster.hosts.iter().map(|host| host.name.as_str());
        let names = hosts.chain(beside);
        let teller = if global.json {
            Teller::Json(Arc::new(Json::new(Box::new(std::io::stdout()))))
        } else {
            Teller::Human(Arc::new(Human::stderr(names)))
        };
        drop(stop.teller.set(teller.clone()));
        Ok(Self {
            warnings: loaded.warnings,
            cluster: loaded.cluster,
            file: global.file.clone(),
            teller,
            json: global.json,
            stop,
            datastore: OnceLock::new(),
            begun: Instant::now(),
        })
    }

    /// Shows what is doubtful in cluster.toml.
    pub fn caution(&self) {
        for warning in &self.warnings {
            self.teller.on(&Event::Warning { host: None, text: warning.title() });
        }
    }

    /// Takes `nodes` to be the machine that oceanid runs on.
    pub fn mark_local(&mut self, nodes: &[String]) -> anyhow::Result<()> {
        if let [_, _, ..] = nodes {
            return Err(Usage(String::from(
                "`--local` takes one node: the machine that oceanid runs on",
            ))
            .into());
        }
        for host in self.cluster.hosts.iter_mut().filter(|host| nodes.contains(&host.name)) {
            host.local = true;
        }
        Ok(())
    }

    /// The connections of this run.
    pub fn dialer(&self) -> anyhow::Result<Dialer> {
        let prompt = Arc::new(Terminal { teller: self.teller.clone() });
        Ok(Dialer { connector: Connector::new(&self.cluster, prompt)? })
    }

    /// The selection that was typed, checked against cluster.toml.
    pub fn selection(&self, target: Target) -> anyhow::Result<Selection> {
        let Target { nodes, steps: Steps { only, skip } } = target;
        let selection = Selection { nodes, only, skip, ..Selection::default() };
        selection.check(&self.cluster).map_err(|error| Usage(error.to_string()))?;
        beside::check(&selection, &self.cluster)?;
        Ok(selection)
    }

    /// A selection of nodes with all their steps.
    pub fn whole(&self, nodes: Vec<String>) -> anyhow::Result<Selection> {
        self.selection(Target { nodes, steps: Steps { only: Vec::new(), skip: Vec::new() } })
    }

    /// A run over the selected hosts.
    pub fn fleet<'a>(
        &'a self,
        dial: &'a Dialer,
        selection: &'a Selection,
        parallel: usize,
        purpose: &'a str,
    ) -> Fleet<'a, Dialer, Teller> {
        self.fleet_heard(dial, &self.teller, selection, parallel, purpose)
    }

    /// As [`Self::fleet`], heard by somebody else.
    pub fn fleet_heard<'a, O>(
        &'a self,
        dial: &'a Dialer,
        observer: &'a O,
        selection: &'a Selection,
        parallel: usize,
        purpose: &'a str,
    ) -> Fleet<'a, Dialer, O> {
        Fleet {
            cluster: &self.cluster,
            dial,
            observer,
            selection,
            parallel,
            purpose,
            datastore: &self.datastore,
            gpus: OnceLock::new(),
            stop: &self.stop.asked,
            begun: self.begun,
        }
    }

    /// Resolves the endpoint of a database.
    fn ask_for_datastore(&self) -> anyhow::Result<()> {
        let Datastore::External(reference) = &self.cluster.k3s.datastore else { return Ok(()) };
        let endpoint = reference.resolve().and_then(Endpoint::read);
        let endpoint = endpoint.with_context(|| {
            format!("the endpoint of `k3s.datastore` in {reference} cannot be used")
        })?;
        // Whoever was first has asked for the same.
        drop(self.datastore.set(endpoint));
        Ok(())
    }

    /// The resolved versions and hashes for the hosts that we are in, and whether the lock file lacks any.
    pub async fn releases<R>(
        &self,
        members: &[Member<'_, R>],
        selection: &Selection,
    ) -> anyhow::Result<(Releases, bool)> {
        let mut releases = Releases::load(&Releases::path(&self.file))?;
        if members.is_empty() {
            return Ok((releases, false));
        }
        let mut arches = Vec::new();
        for member in members {
            let name = &member.host.name;
            arches.push(member.facts.arch().with_context(|| format!("`{name}` is not fit"))?);
        }
        arches.sort_unstable();
        arches.dedup();
        let mut asked = releases.resolve(&self.cluster, &arches).await?;
        let mut images = Vec::new();
        if selection.has_step("triton") && members.iter().any(|member| member.host.gpu) {
            images.extend(self.cluster.triton.iter().map(|triton| triton.image.as_str()));
        }
        if selection.has_step("gpu") && steps::gpu::concerns(&self.cluster) {
            images.extend(self.cluster.gpu.iter().flat_map(Gpu::images));
        }
        asked |= releases.resolve_images(&self.cluster.sources, &images).await?;
        Ok((releases, asked))
    }

    /// Fetches the secrets that the selected steps write: before any host is contacted.
    pub fn fetch_secrets(&self, selection: &Selection) -> anyhow::Result<()> {
        self.ask_for_datastore()?;
        match &self.cluster.baseline.cert_manager {
            Some(manager) if selection.has_step("baseline") => {
                manager.token.fetch().context("cannot get `baseline.cert-manager.token`")?;
            }
            _ => {}
        }
        let gpu = self.cluster.hosts.iter().any(|host| host.gpu && selection.has_node(&host.name));
        let triton = self.cluster.triton.iter().filter(|_| gpu && selection.has_step("triton"));
        for (name, value) in triton.flat_map(|triton| &triton.secrets) {
            value.fetch().with_context(|| format!("cannot get `triton.secrets.{name}`"))?;
        }
        Ok(())
    }

    /// Connects to every host; what stands in the way was told of, and is the exit status.
    pub async fn muster<'f>(
        &self,
        fleet: &Fleet<'f, Dialer, Teller>,
    ) -> Result<Vec<Member<'f, AnyRemote>>, Exit> {
        fleet.muster().await.map_err(|failures| self.give_up(fleet, &failures))
    }

    /// As [`Self::muster`], and hears what guards of earlier runs did: nothing is changed before that.
    pub async fn muster_to_change<'f>(
        &self,
        fleet: &Fleet<'f, Dialer, Teller>,
    ) -> Result<Vec<Member<'f, AnyRemote>>, Exit> {
        let members = self.muster(fleet).await?;
        let failures = fleet.settle(&members).await;
        if failures.is_empty() { Ok(members) } else { Err(self.give_up(fleet, &failures)) }
    }

    /// Looks at every host without changing anything; what stands in the way was told of, and is the exit status.
    pub async fn look<'f>(
        &self,
        fleet: &Fleet<'f, Dialer, Teller>,
    ) -> anyhow::Result<Result<Look<'f>, Exit>> {
        self.fetch_secrets(fleet.selection)?;
        let cloudflare = match beside::look(self, fleet).await {
            Ok(cloudflare) => cloudflare,
            Err(exit) => return Ok(Err(exit)),
        };
        match self.muster(fleet).await {
            Ok(members) => {
                let guarded = fleet.warn_of_guards(&members);
                let planned = self.plan(fleet, members, cloudflare).await?;
                Ok(planned.map(|look| Look { guarded, ..look }))
            }
            Err(exit) => Ok(Err(exit)),
        }
    }

    /// Looks at every host before it is changed; what stands in the way was told of, and is the exit status.
    pub async fn look_to_change<'f>(
        &self,
        fleet: &Fleet<'f, Dialer, Teller>,
    ) -> anyhow::Result<Result<Look<'f>, Exit>> {
        self.fetch_secrets(fleet.selection)?;
        let cloudflare = match beside::look(self, fleet).await {
            Ok(cloudflare) => cloudflare,
            Err(exit) => return Ok(Err(exit)),
        };
        match self.muster_to_change(fleet).await {
            Ok(members) => self.plan(fleet, members, cloudflare).await,
            Err(exit) => Ok(Err(exit)),
        }
    }

    async fn plan<'f>(
        &self,
        fleet: &Fleet<'f, Dialer, Teller>,
        members: Vec<Member<'f, AnyRemote>>,
        cloudflare: Option<(Desk<'f>, HostPlan)>,
    ) -> anyhow::Result<Result<Look<'f>, Exit>> {
        let (releases, new) = self.releases(&members, fleet.selection).await?;
        let (cloudflare, first) = cloudflare.unzip();
        Ok(match fleet.plan(&members, &releases).await {
            Ok(hosts) => {
                let plans = first.into_iter().chain(hosts).collect();
                Ok(Look { cloudflare, members, releases, new, plans, guarded: false })
            }
            Err(failures) => Err(self.give_up(fleet, &failures)),
        })
    }

    /// Tells of hosts that failed before anything was changed, and of those that were therefore left alone.
    pub fn give_up(&self, fleet: &Fleet<'_, Dialer, Teller>, failures: &[Failure]) -> Exit {
        let mut totals = Totals { deed: Deed::Plan, ..Totals::default() };
        for failure in failures {
            totals.failed += 1;
            self.teller.on(&Event::HostFailed { host: &failure.host, error: &failure.error });
        }
        for host in fleet.hosts() {
            let host = host.name.as_str();
            if failures.iter().all(|failure| failure.host != host) {
                totals.skipped += 1;
                let reason = "nothing was changed: every host must be fit first";
                self.teller.on(&Event::HostSkipped { host, reason });
            }
        }
        totals.took = fleet.begun.elapsed();
        self.teller.on(&Event::Finished { totals: &totals });
        exit_code(failures.iter().map(|failure| &failure.error))
    }

    /// Asks a question that only a person can answer; refuses without a terminal.
    pub fn confirm(&self, question: &str) -> anyhow::Result<bool> {
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return Err(Usage(format!(
                "`{question}` needs an answer and there is no terminal; `--yes` answers it"
            ))
            .into());
        }
        let answer = self
            .teller
            .suspend(|| dialoguer::Confirm::new().with_prompt(question).default(false).interact());
        answer.context("cannot ask at this terminal")
    }
}

/// What a look at every host, and at Cloudflare, showed.
pub struct Look<'a> {
    /// Cloudflare, where the run has to do with it.
    pub cloudflare: Option<Desk<'a>>,
    /// The hosts that we are in.
    pub members: Vec<Member<'a, AnyRemote>>,
    /// The resolved versions and hashes.
    pub releases: Releases,
    /// Whether the lock file lacks any of them.
    pub new: bool,
    /// What would change.
    pub plans: Vec<HostPlan>,
    /// Whether a host has a guard that waits, or has something to tell.
    pub guarded: bool,
}

/// Connects over SSH, or to this machine.
pub struct Dialer {
    /// SSH.
    pub connector: Connector,
}

impl Dial for Dialer {
    type Remote = AnyRemote;

    async fn dial(&self, host: &Host, observer: &dyn Observer) -> Result<AnyRemote, RemoteError> {
        if host.local {
            return Ok(AnyRemote::Local(Local));
        }
        let name = host.name.as_str();
        let limit = host.ssh.connect;
        observer.on(&Event::Connecting {
            host: name,
            waiting: None,
            elapsed: std::time::Duration::ZERO,
            limit,
        });
        let waiting = |waiting: &Waiting| {
            observer.on(&Event::Connecting {
                host: name,
                waiting: Some(&waiting.last_error),
                elapsed: waiting.elapsed,
                limit: waiting.limit,
            });
        };
        self.connector
            .connect(host, &waiting)
            .await
            .map(|connection| AnyRemote::Ssh(Box::new(connection)))
            .map_err(|error| self.connector.blame(host, error))
    }
}
