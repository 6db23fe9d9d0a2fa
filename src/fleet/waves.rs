//! Bringing it about: servers one by one, agents side by side, then the cluster's own things.
//!
//! What a new agent needs before k3s can join takes longest, and nothing of it has to do with the servers: it happens
//! beside them. Agents that the cluster uses already are left alone until the servers are done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures::StreamExt as _;
use futures::future::join;

use super::{Dial, Failure, Fleet, HostPlan, Member, first_server, gather, run_name};
use crate::cluster::Role;
use crate::engine::{self, Interrupted, Planned, PutBack, Run};
use crate::facts::Facts;
use crate::guard::TakenBack;
use crate::lock::{self, Lock};
use crate::releases::Releases;
use crate::remote::Remote as _;
use crate::report::{Event, Observer, Totals};
use crate::step::Step;
use crate::steps::{Servers, Terms, Wave};

/// All of one host but the cluster's own things; where the ground is laid already, it is only looked at.
const WHOLE: &[Wave] = &[Wave::Ground, Wave::Host];

impl<'a, D: Dial, O: Observer> Fleet<'a, D, O> {
    /// Brings everything about: servers one by one, agents side by side, then the cluster's own things.
    /// `before` is what was done before the hosts, and counts with them.
    pub async fn apply(
        &self,
        mut members: Vec<Member<'a, D::Remote>>,
        plans: &[HostPlan],
        releases: &Releases,
        before: &Totals,
    ) -> (Totals, Vec<Failure>) {
        let lock = Lock::new(&run_name(), self.purpose);
        let mut course = Course {
            lock,
            replaced: self.replaced(&members),
            plans,
            releases,
            names: members.iter().map(|member| member.host.name.as_str()).collect(),
            counts: vec![0; members.len()],
            failures: Vec::new(),
            skipped: Vec::new(),
        };
        let first = first_server(self.cluster, &members).cloned();
        let beside = course.begun();
        let (servers, agents): (Vec<_>, Vec<_>) =
            members.iter_mut().enumerate().partition(|(_, it)| it.host.role == Role::Server);
        let agents = agents.into_iter().map(|(index, member)| (index, &*member));
        let new: Vec<_> =
            agents.filter(|(_, member)| !is_ready(&member.host.name, first.as_ref())).collect();
        let grounds = self.side_by_side(new, first.as_ref(), None, &beside, &[Wave::Ground]);
        let ((), grounds) = join(self.servers(servers, &mut course), grounds).await;
        // Without a server there is nothing to join; without one agent the others still get their labels.
        let up = course.failures.is_empty();
        for (index, name, done) in grounds {
            course.note(index, name, done);
        }
        if up {
            self.agents(&members, &mut course).await;
            self.cluster_wave(&members, &mut course).await;
        } else {
            self.skip_agents(&members, &mut course);
        }
        self.conclude(&members, course, before)
    }

    /// Takes away what dead runs of this machine hold: a host that needs no change is locked by nobody else.
    ///
    /// # Errors
    /// When a host does not answer.
    pub async fn bury(&self, members: &[Member<'a, D::Remote>]) -> anyhow::Result<()> {
        for member in members {
            if let Some(dead) = member.facts.lock.as_ref().filter(|lock| !lock.is_alive()) {
                lock::release(&member.remote, dead, "died").await?;
            }
        }
        Ok(())
    }

    async fn servers(
        &self,
        mut servers: Vec<(usize, &mut Member<'a, D::Remote>)>,
        course: &mut Course<'_>,
    ) {
        let name = &self.cluster.first_server().name;
        for turn in 0..servers.len() {
            let first = servers.iter().find(|(_, member)| member.host.name == *name);
            let first = first.map(|(_, member)| member.facts.clone());
            let Some((index, member)) = servers.get_mut(turn) else { break };
            if !course.failures.is_empty() {
                break;
            }
            let begun = Instant::now();
            let mut done = self.host(member, first.as_ref(), course, WHOLE).await;
            done.result = self.diagnosed(member, None, begun, done.result).await;
            course.note(*index, &member.host.name, done);
            if course.counts.get(*index).is_some_and(|count| *count > 0) {
                match gather(&member.remote, member.host).await {
                    Ok(facts) => member.facts = facts,
                    Err(error) => course.fail(&member.host.name, error),
                }
            }
        }
    }

    /// What `agents` come to in `waves`; told of when it was the last one, or went wrong.
    async fn side_by_side<'m>(
        &self,
        agents: Vec<(usize, &'m Member<'a, D::Remote>)>,
        first: Option<&Facts>,
        server: Option<&Member<'a, D::Remote>>,
        course: &Course<'_>,
        waves: &[Wave],
    ) -> Vec<(usize, &'m str, Done)> {
        let each = |(index, member): (usize, &'m Member<'a, D::Remote>)| async move {
            let name = member.host.name.as_str();
            let begun = Instant::now();
            let mut done = self.host(member, first, course, waves).await;
            done.result = self.diagnosed(member, server, begun, done.result).await;
            if done.result.is_err() || waves.contains(&Wave::Host) {
                let changes = course.count(name) + done.changes;
                self.tell_end(name, changes, done.result.as_ref().err());
            }
            (index, name, done)
        };
        let agents = futures::stream::iter(agents).map(each);
        agents.buffer_unordered(self.parallel.max(1)).collect().await
    }

    /// New agents side by side; those that are Ready and whose k3s will be restarted one by one after them.
    async fn agents(&self, members: &[Member<'a, D::Remote>], course: &mut Course<'_>) {
        let first = first_server(self.cluster, members);
        let name = &self.cluster.first_server().name;
        let server = members.iter().find(|member| member.host.name == *name);
        let agents = members.iter().enumerate().filter(|(_, member)| {
            member.host.role == Role::Agent && !course.has_failed(&member.host.name)
        });
        let (in_use, others): (Vec<_>, Vec<_>) =
            agents.partition(|(_, member)| course.restarts_ready(&member.host.name, first));
        for (index, name, done) in self.side_by_side(others, first, server, course, WHOLE).await {
            course.note(index, name, done);
        }
        let mut down: Option<&str> = None;
        for (index, member) in in_use {
            let name = member.host.name.as_str();
            if let Some(down) = down {
                course.skipped.push(name.to_owned());
                let reason = format!("it is Ready, and {down} must be Ready again first");
                self.observer.on(&Event::HostSkipped { host: name, reason: &reason });
                continue;
            }
            let done = self.host(member, first, course, WHOLE).await;
            self.tell_end(name, done.changes, done.result.as_ref().err());
            down = done.result.is_err().then_some(name);
            course.note(index, name, done);
        }
    }

    async fn cluster_wave(&self, members: &[Member<'a, D::Remote>], course: &mut Course<'_>) {
        let first = first_server(self.cluster, members);
        let name = &self.cluster.first_server().name;
        for (index, member) in
            members.iter().enumerate().filter(|(_, member)| member.host.name == *name)
        {
            let done = self.host(member, first, course, &[Wave::Cluster]).await;
            course.note(index, name, done);
        }
    }

    fn skip_agents(&self, members: &[Member<'a, D::Remote>], course: &mut Course<'_>) {
        let servers = members.iter().filter(|member| member.host.role == Role::Server);
        let names = servers.map(|member| member.host.name.as_str());
        let failed: Vec<&str> = names.filter(|name| course.has_failed(name)).collect();
        for member in members.iter().filter(|member| member.host.role == Role::Agent) {
            let host = member.host.name.as_str();
            if course.has_failed(host) {
                continue;
            }
            let ground = if course.count(host) > 0 { "it is prepared; " } else { "" };
            let reason = format!("{ground}{} must be up first", failed.join(", "));
            course.skipped.push(host.to_owned());
            self.observer.on(&Event::HostSkipped { host, reason: &reason });
        }
    }

    /// Brings one host's steps of a wave about.
    async fn host(
        &self,
        member: &Member<'a, D::Remote>,
        first: Option<&Facts>,
        course: &Course<'_>,
        waves: &[Wave],
    ) -> Done {
        let list = match self.steps(
            member,
            first,
            course.releases,
            waves,
            (&course.failures, course.terms()),
        ) {
            Ok(list) => list,
            Err(error) => return Done { changes: 0, result: Err(error) },
        };
        let list: Vec<&Step> = list.iter().collect();
        let forecast = course.forecast(&member.host.name);
        let known = |planned: &&Planned| list.iter().any(|step| step.name == planned.step);
        if course.untouched() && !forecast.iter().any(|planned| known(&planned)) {
            return Done { changes: 0, result: Ok(()) };
        }
        match engine::plan(&member.remote, &list).await {
            Ok(planned) if planned.is_empty() => Done { changes: 0, result: Ok(()) },
            Ok(planned) => self.locked(member, &list, &planned, course).await,
            Err(error) => Done { changes: 0, result: Err(error) },
        }
    }

    async fn locked(
        &self,
        member: &Member<'a, D::Remote>,
        list: &[&Step],
        planned: &[Planned],
        course: &Course<'_>,
    ) -> Done {
        let host = member.host.name.as_str();
        let lock = &course.lock;
        let waited = AtomicBool::new(false);
        let progress = |text: &str| {
            waited.store(true, Ordering::Relaxed);
            self.observer.on(&Event::Progress { host, text });
        };
        if let Err(error) = lock::take(&member.remote, host, lock, &progress).await {
            return Done { changes: 0, result: Err(error) };
        }
        let mut run = Run {
            host,
            remote: &member.remote,
            observer: self.observer,
            name: &lock.run,
            stop: self.stop,
            changes: course.count(host),
        };
        let before = run.changes;
        // What was seen while an earlier run's change went on may be true no more.
        let forecast = (!waited.into_inner()).then_some(planned);
        let result = run.apply(list, forecast).await;
        let outcome = match &result {
            Ok(()) => "done",
            Err(error) if error.is::<Interrupted>() => "interrupted",
            Err(error) if error.is::<TakenBack>() => "taken back",
            Err(error) if error.is::<PutBack>() => "put back",
            Err(_) => "failed",
        };
        let mut released = lock::release(&member.remote, lock, outcome).await;
        // A guarded step may end with another login than it began with.
        if released.is_err()
            && result.as_ref().is_err_and(anyhow::Error::is::<TakenBack>)
            && let Ok(remote) = member.remote.again().await
        {
            released = lock::release(&remote, lock, outcome).await;
        }
        Done { changes: run.changes - before, result: result.and(released) }
    }

    fn tell_end(&self, host: &str, changes: u32, error: Option<&anyhow::Error>) {
        let changes = usize::try_from(changes).unwrap_or(usize::MAX);
        match error {
            Some(error) => self.observer.on(&Event::HostFailed { host, error }),
            None => self.observer.on(&Event::HostDone { host, changes }),
        }
    }

    /// Counts what the run came to; agents were told of when they ended, servers are only now done.
    fn conclude(
        &self,
        members: &[Member<'a, D::Remote>],
        course: Course<'_>,
        before: &Totals,
    ) -> (Totals, Vec<Failure>) {
        let mut totals = Totals { took: self.begun.elapsed(), ..before.clone() };
        for (member, count) in members.iter().zip(&course.counts) {
            let host = member.host.name.as_str();
            totals.changes += usize::try_from(*count).unwrap_or(usize::MAX);
            let failure = course.failures.iter().find(|failure| failure.host == host);
            let skipped = course.skipped.iter().any(|name| name == host);
            let count_of = match (skipped, failure, count) {
                (true, ..) => &mut totals.skipped,
                (_, Some(_), _) => &mut totals.failed,
                (.., 0) => &mut totals.unchanged,
                _ => &mut totals.changed,
            };
            *count_of += 1;
            if member.host.role == Role::Server {
                self.tell_end(host, *count, failure.map(|failure| &failure.error));
            }
        }
        self.observer.on(&Event::Finished { totals: &totals });
        (totals, course.failures)
    }
}

/// Whether `host` is a node that the cluster uses, as far as the first server knows.
fn is_ready(host: &str, first: Option<&Facts>) -> bool {
    first.and_then(|facts| facts.roll.as_ref()).is_some_and(|roll| roll.is_ready(host))
}

/// How far a run has come.
struct Course<'a> {
    lock: Lock,
    replaced: Vec<String>,
    plans: &'a [HostPlan],
    releases: &'a Releases,
    names: Vec<&'a str>,
    counts: Vec<u32>,
    failures: Vec<Failure>,
    skipped: Vec<String>,
}

/// What one host came to in one wave.
struct Done {
    changes: u32,
    result: anyhow::Result<()>,
}

impl Course<'_> {
    fn untouched(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }

    /// What a step may count on: whoever comes first has been changed by now.
    fn terms(&self) -> Terms<'_> {
        Terms { servers: Servers::Settled, replaced: &self.replaced }
    }

    /// Whether `host` is a Ready node that k3s may be restarted on.
    fn restarts_ready(&self, host: &str, first: Option<&Facts>) -> bool {
        let changes = self.forecast(host).iter().any(|planned| planned.step == "k3s-agent");
        is_ready(host, first) && (changes || !self.untouched())
    }

    /// The same run, as far as it has come, for what happens beside it.
    fn begun(&self) -> Self {
        Self {
            lock: self.lock.clone(),
            replaced: self.replaced.clone(),
            names: self.names.clone(),
            counts: self.counts.clone(),
            failures: Vec::new(),
            skipped: Vec::new(),
            ..*self
        }
    }

    fn has_failed(&self, host: &str) -> bool {
        self.failures.iter().any(|failure| failure.host == host)
    }

    /// How many changes the waves before made on `host`: the next one's numbers go on from there.
    fn count(&self, host: &str) -> u32 {
        let mut counts = self.names.iter().zip(&self.counts);
        counts.find(|(name, _)| **name == host).map_or(0, |(_, count)| *count)
    }

    fn forecast(&self, host: &str) -> &[Planned] {
        let plan = self.plans.iter().find(|plan| plan.host == host);
        plan.map_or(&[], |plan| plan.changes.as_slice())
    }

    fn note(&mut self, index: usize, host: &str, done: Done) {
        if let Some(count) = self.counts.get_mut(index) {
            *count += done.changes;
        }
        if let Err(error) = done.result {
            self.fail(host, error);
        }
    }

    fn fail(&mut self, host: &str, error: anyhow::Error) {
        self.failures.push(Failure { host: host.to_owned(), error });
    }
}
