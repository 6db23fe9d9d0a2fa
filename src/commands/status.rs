//! `oceanid status`: how every node is, what of it ends soon, and whether it is as cluster.toml says.

mod cloudflare;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

use self::cloudflare::Side;
use super::context::{Context, Teller};
use super::print;
use crate::cluster::Role;
use crate::engine::Planned;
use crate::fleet::{Failure, HostPlan, Member};
use crate::health::{Drift, Health, Look, Seen, Snapshots, Token, age, look};
use crate::kube::Census;
use crate::kubeconfig::Place;
use crate::releases::Releases;
use crate::remote::AnyRemote;
use crate::report::{self, Event, Exit, Observer, Style, exit_code};

/// How long a node may take to let us in: the others are worth knowing, too.
const ENTER: Duration = Duration::from_secs(15);

/// Tells of the connections only: what is found is shown as a whole.
struct Quiet<'a>(&'a Teller);

impl Observer for Quiet<'_> {
    fn on(&self, event: &Event<'_>) {
        if matches!(event, Event::Connecting { .. } | Event::Connected { .. }) {
            self.0.on(event);
        }
    }
}

/// Looks at every node and at the cluster; who cannot be reached is no reason not to tell of the others.
pub async fn run(mut context: Context) -> anyhow::Result<Exit> {
    for host in &mut context.cluster.hosts {
        host.ssh.connect = host.ssh.connect.min(ENTER);
    }
    let selection = context.whole(Vec::new())?;
    let dialer = context.dialer()?;
    let quiet = Quiet(&context.teller);
    let fleet = context.fleet_heard(&dialer, &quiet, &selection, 10, "status");
    let (mut members, mut failures) = (Vec::new(), Vec::new());
    for reached in fleet.reach().await {
        match reached {
            Ok(member) => members.push(member),
            Err(failure) => failures.push(failure),
        }
    }
    let nobody = members.is_empty().then(|| exit_code(failures.iter().map(|one| &one.error)));
    let cluster = &context.cluster;
    let looks = members.iter().map(|member| look(&member.remote, cluster, member.host));
    let (looks, plans) = tokio::join!(join_all(looks), async {
        if members.is_empty() {
            return Ok(Vec::new());
        }
        context.fetch_secrets(&selection)?;
        match context.releases(&members, &selection).await {
            Ok((releases, _)) => Ok(fleet.plan_each(&members, &releases).await),
            Err(error) => Err(error),
        }
    });
    let cloudflare = Side::look(&context, &selection).await;
    let view = View::new(&context, &members, failures, looks, plans, cloudflare);
    view.show(&context)?;
    Ok(nobody.unwrap_or_else(|| view.exit()))
}

/// Everything that is shown.
struct View {
    nodes: Vec<Health>,
    foreign: Vec<String>,
    tokens: Vec<Token>,
    local: Option<Local>,
    cloudflare: Option<Side>,
    now: Timestamp,
}

/// The context of this cluster in the kubeconfig of this machine.
struct Local {
    file: String,
    name: String,
    ends: Timestamp,
    same: bool,
}

impl View {
    fn new(
        context: &Context,
        members: &[Member<'_, AnyRemote>],
        mut failures: Vec<Failure>,
        looks: Vec<anyhow::Result<Look>>,
        plans: anyhow::Result<Vec<Result<HostPlan, Failure>>>,
        cloudflare: Option<Side>,
    ) -> Self {
        let (cluster, now) = (&context.cluster, Timestamp::now());
        let locked = Releases::load(&Releases::path(&context.file)).unwrap_or_default();
        // Without a lock any version will do; what is wrong with it is told by the plan.
        let version = locked.version(cluster).unwrap_or_default();
        let first = &cluster.first_server().name;
        let has_first = members.iter().any(|member| member.host.name == *first);
        let mut drifts = drifts(members, plans, has_first.then_some(first.as_str()));
        let mut found = BTreeMap::new();
        for (member, look) in members.iter().zip(looks) {
            let name = member.host.name.as_str();
            match look {
                Ok(look) => drop(found.insert(name, look)),
                Err(error) => failures.push(Failure { host: name.to_owned(), error }),
            }
        }
        // The first server that answers speaks for all.
        let order: Vec<&str> = cluster.servers().map(|host| host.name.as_str()).collect();
        let speaker = order
            .iter()
            .find(|name| found.get(**name).is_some_and(|look| matches!(look.census, Some(Ok(_)))));
        let speaker = speaker.and_then(|name| found.get_mut(name));
        let (census, ca, tokens) = speaker.map_or((None, None, Vec::new()), |look| {
            let census = look.census.take().and_then(Result::ok);
            (census, look.ca.clone(), std::mem::take(&mut look.tokens))
        });
        let judged = cluster.hosts.iter().map(|host| {
            let name = host.name.as_str();
            let failure = failures.iter().find(|failure| failure.host == name);
            let seen = Seen {
                look: failure.map_or_else(
                    || Ok(found.remove(name).unwrap_or_default()),
                    |failure| Err(&failure.error),
                ),
                drift: drifts
                    .remove(name)
                    .unwrap_or_else(|| Drift::Unknown(String::from("we are not in"))),
                census: census.as_ref(),
                version,
            };
            Health::judge(cluster, host, seen, now)
        });
        let nodes_judged = judged.collect();
        Self {
            foreign: foreign(context, census.as_ref()),
            nodes: nodes_judged,
            tokens,
            local: local(&cluster.name, ca.as_deref()),
            cloudflare,
            now,
        }
    }

    fn exit(&self) -> Exit {
        match () {
            () if self.nodes.iter().any(|node| !node.is_well()) => Exit::Failed,
            () if self.cloudflare.as_ref().is_some_and(Side::is_unknown) => Exit::Failed,
            () if self.nodes.iter().any(Health::has_drifted) => Exit::Pending,
            () if self.cloudflare.as_ref().is_some_and(Side::has_drifted) => Exit::Pending,
            () => Exit::Done,
        }
    }

    fn show(&self, context: &Context) -> anyhow::Result<()> {
        if context.json {
            let line = json!({
                "schema": 1, "event": "status",
                "nodes": self.nodes.iter().map(|node| node_json(node, self.now)).collect::<Vec<_>>(),
                "foreign": self.foreign,
                "cloudflare": self.cloudflare.as_ref().map(|side| side.json(self.now)),
                "tokens": self.tokens.iter().map(token_json).collect::<Vec<_>>(),
                "kubeconfig": self.local.as_ref().map(|local| json!({
                    "file": local.file, "context": local.name, "expires": local.ends.to_string(),
                    "days-left": crate::certificate::days(local.ends.as_second() - self.now.as_second()),
                    "this-cluster": local.same,
                })),
            });
            return print(&format!("{line}\n"));
        }
        let stdout = std::io::stdout();
        let style = Style::of(&stdout);
        report::status(&mut stdout.lock(), &self.nodes, &self.remarks(), self.now, style)?;
        Ok(())
    }

    /// What is to be said of the cluster as a whole.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if !self.foreign.is_empty() {
            remarks.push(format!("not in cluster.toml: {}", self.foreign.join(", ")));
        }
        let newest = self.nodes.iter().filter_map(|node| {
            let snapshots = node.snapshots.as_ref()?;
            let (name, time) = snapshots.newest.as_ref()?;
            Some((time, name, &node.name, snapshots))
        });
        if let Some((time, name, host, snapshots)) = newest.max_by_key(|(time, ..)| *time) {
            let old = age(snapshots.now.as_second() - time.as_second());
            remarks.push(format!("newest etcd snapshot: `{name}` on {host}, {old} old"));
        }
        for token in &self.tokens {
            let end = match token.ends.map(|end| end.as_second() - self.now.as_second()) {
                None => String::from("never ends"),
                Some(left) if left < 0 => format!("ended {} ago", age(-left)),
                Some(left) => format!("ends in {}", age(left)),
            };
            remarks.push(format!("join token {} {end}", token.id));
        }
        remarks.extend(self.cloudflare.iter().flat_map(|side| side.remarks(self.now)));
        if let Some(local) = &self.local {
            let left = local.ends.as_second() - self.now.as_second();
            let (file, name) = (&local.file, &local.name);
            remarks.push(match (local.same, left) {
                (false, _) => format!("kubeconfig: `{name}` in {file} is another cluster's"),
                (true, ..0) => format!(
                    "kubeconfig: `{name}` in {file} has ended; `oceanid kubeconfig` renews it"
                ),
                (true, left) => format!("kubeconfig: `{name}` in {file} ends in {}", age(left)),
            });
        }
        remarks
    }
}

/// What would be changed on each host; `first` is the first server, where we are in.
fn drifts<'m>(
    members: &'m [Member<'_, AnyRemote>],
    plans: anyhow::Result<Vec<Result<HostPlan, Failure>>>,
    first: Option<&str>,
) -> BTreeMap<&'m str, Drift> {
    let names = members.iter().map(|member| member.host.name.as_str());
    let plans = match plans {
        Ok(plans) => plans,
        Err(error) => {
            return names.map(|name| (name, Drift::Unknown(format!("{error:#}")))).collect();
        }
    };
    let subject = |planned: &Planned| {
        format!("{}: {}: {}", planned.step, planned.subject, planned.change.summary)
    };
    let drift = |plan: Result<HostPlan, Failure>| match plan {
        // Without its token and API nothing can be said of the others.
        _ if first.is_none() => Drift::Unknown(String::from("the first server is not there")),
        Ok(plan) => Drift::Pending(plan.changes.iter().map(subject).collect()),
        Err(failure) => Drift::Unknown(format!("{:#}", failure.error)),
    };
    names.zip(plans.into_iter().map(drift)).collect()
}

fn foreign(context: &Context, census: Option<&Census>) -> Vec<String> {
    let nodes = census.map_or(&[][..], |census| &census.nodes);
    let names = nodes.iter().map(|node| node.metadata.name.clone());
    names.filter(|name| context.cluster.host(name).is_none()).collect()
}

/// The context called like the cluster, where there is one that a certificate opens.
fn local(name: &str, ca: Option<&str>) -> Option<Local> {
    let place = Place::of_this_user().ok()?;
    // A broken file is for `oceanid kubeconfig` to complain of.
    let access = place.read().ok()??.access(name, &|file| place.named(file)).ok()?;
    let same = ca.is_none_or(|ca| access.ca.trim_ascii() == ca.trim().as_bytes());
    let home = std::env::home_dir().and_then(|home| place.path.strip_prefix(home).ok());
    let file = home
        .map_or_else(|| place.path.display().to_string(), |rest| format!("~/{}", rest.display()));
    Some(Local { file, name: name.to_owned(), ends: access.leaf().ok()?.ends, same })
}

fn node_json(node: &Health, now: Timestamp) -> Value {
    let certificates = node.certificates.iter().map(|(name, one)| {
        json!({ "name": name, "expires": one.ends.to_string(), "days-left": one.days_left(now),
            "authority": one.is_authority })
    });
    let (drift, changes) = match &node.drift {
        Drift::Pending(changes) => (Some(!changes.is_empty()), changes.clone()),
        Drift::Unknown(_) => (None, Vec::new()),
    };
    json!({
        "name": node.name,
        "role": match node.role { Role::Server => "server", Role::Agent => "agent" },
        "version": node.version, "wanted": node.wanted, "addresses": node.addresses,
        "state": node.state.word(), "well": node.is_well(), "trouble": node.trouble,
        "notes": node.notes, "pressure": node.pressure,
        "certificates": certificates.collect::<Vec<_>>(),
        "snapshots": node.snapshots.as_ref().map(snapshots_json),
        "drift": drift, "changes": changes,
    })
}

fn snapshots_json(snapshots: &Snapshots) -> Value {
    let newest = snapshots.newest.as_ref();
    json!({ "count": snapshots.count, "newest": newest.map(|(name, _)| name),
        "age-seconds": newest.map(|(_, time)| snapshots.now.as_second() - time.as_second()) })
}

fn token_json(token: &Token) -> Value {
    json!({ "id": token.id, "description": token.description,
        "expires": token.ends.map(|end| end.to_string()) })
}
