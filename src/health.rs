//! How the nodes of a cluster are: what each host and the API say, judged.

use jiff::{SignedDuration, Timestamp};

use crate::certificate::{Certificate, days};
use crate::cluster::{Cluster, Host, Role};
use crate::kube::{Census, Wanted};
use crate::report::Failure;

pub use look::{Look, Snapshots, Token, look, probe};

mod look;

/// From this many days before their end on, k3s renews certificates when it starts.
pub const RENEWED: i64 = 120;
/// Certificates that end in fewer days are trouble.
const TROUBLE: i64 = 30;
/// How much later than its schedule a snapshot may be there, minutes.
const LATE: i64 = 15;
/// How many times of the schedule are compared to find its longest pause.
const TIMES: usize = 64;

/// How a node is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It takes pods, and all else is well.
    Ready,
    /// It is ready, but something is not well.
    Troubled,
    /// It is in the cluster, but does not take pods.
    NotReady,
    /// It is not in the cluster.
    Missing,
    /// We cannot get in.
    Unreachable,
    /// No server tells.
    Unknown,
}

/// Whether the host is as cluster.toml says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    /// What would be changed: none is as it should be.
    Pending(Vec<String>),
    /// It could not be looked at, and why.
    Unknown(String),
}

/// How a node is.
#[derive(Debug, Clone)]
pub struct Health {
    /// The node's name.
    pub name: String,
    /// What it is in the cluster.
    pub role: Role,
    /// The version that it should run.
    pub wanted: String,
    /// The version that it runs.
    pub version: Option<String>,
    /// `ExternalIP` and `InternalIP`, in this order.
    pub addresses: Vec<String>,
    /// In one word.
    pub state: State,
    /// What is not well.
    pub trouble: Vec<String>,
    /// What is worth knowing although it is well.
    pub notes: Vec<String>,
    /// `MemoryPressure`, `DiskPressure` and `PIDPressure`, where they are on.
    pub pressure: Vec<&'static str>,
    /// Its certificates, the one that ends first at the beginning.
    pub certificates: Vec<(String, Certificate)>,
    /// The snapshots of embedded etcd on it.
    pub snapshots: Option<Snapshots>,
    /// Whether it is as cluster.toml says.
    pub drift: Drift,
}

/// What is known of a host when it is judged.
#[derive(Debug)]
pub struct Seen<'a> {
    /// What it said; why we did not get in otherwise.
    pub look: Result<Look, &'a anyhow::Error>,
    /// Whether it is as cluster.toml says.
    pub drift: Drift,
    /// All nodes, as a server shows them.
    pub census: Option<&'a Census>,
    /// The exact version that it is to run.
    pub version: &'a str,
}

impl State {
    /// As it is shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Troubled => "trouble",
            Self::NotReady => "not ready",
            Self::Missing => "missing",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
        }
    }
}

impl Health {
    /// Judges what was seen of `host` at `now`.
    #[must_use]
    pub fn judge(cluster: &Cluster, host: &Host, seen: Seen<'_>, now: Timestamp) -> Self {
        let mut health = Self {
            name: host.name.clone(),
            role: host.role,
            wanted: seen.version.to_owned(),
            version: None,
            addresses: Vec::new(),
            state: State::Ready,
            trouble: Vec::new(),
            notes: Vec::new(),
            pressure: Vec::new(),
            certificates: Vec::new(),
            snapshots: None,
            drift: seen.drift,
        };
        health.see_node(cluster, host, seen.census);
        match seen.look {
            Ok(look) => {
                health.certificates = look.certificates;
                health.see_certificates(now);
                health.snapshots = look.snapshots;
                health.see_snapshots(&cluster.k3s.snapshot_schedule);
                if let Some(Err(reason)) = look.census {
                    health.trouble.push(format!("its API does not answer: {reason}"));
                }
                if let Drift::Unknown(reason) = &health.drift {
                    health
                        .trouble
                        .push(format!("it cannot be compared with cluster.toml: {reason}"));
                }
            }
            Err(error) => health.see_failure(error),
        }
        if health.state == State::Ready && !health.trouble.is_empty() {
            health.state = State::Troubled;
        }
        health
    }

    /// Whether nothing is wrong with it.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.trouble.is_empty()
    }

    /// Whether something would be changed on it.
    #[must_use]
    pub fn has_drifted(&self) -> bool {
        matches!(&self.drift, Drift::Pending(changes) if !changes.is_empty())
    }

    fn see_node(&mut self, cluster: &Cluster, host: &Host, census: Option<&Census>) {
        let Some(census) = census else {
            self.state = State::Unknown;
            self.trouble.push(String::from("no server tells how it is"));
            return;
        };
        let Some(node) = census.node(&self.name) else {
            self.state = State::Missing;
            self.trouble.push(String::from("not in the cluster"));
            return;
        };
        self.version = Some(node.status.node_info.kubelet_version.clone());
        for kind in ["ExternalIP", "InternalIP"] {
            self.addresses.extend(node.addresses(kind).map(str::to_owned));
        }
        let wanted = Wanted::of(cluster, host, &self.wanted);
        if let Some(reason) = census.unready(&self.name, &wanted, None) {
            self.state = State::NotReady;
            self.trouble.push(reason);
        }
        for (kind, text) in [
            ("MemoryPressure", "it is short of memory, and evicts pods"),
            ("DiskPressure", "it is short of disk, and evicts pods"),
            ("PIDPressure", "it is short of process ids"),
        ] {
            if node.condition(kind) == "True" {
                self.pressure.push(kind);
                self.trouble.push(format!("{kind}: {text}"));
            }
        }
        self.trouble.extend(census.unmarked(host));
        if node.spec.unschedulable {
            self.trouble.push(String::from("closed to new pods"));
        }
    }

    fn see_failure(&mut self, error: &anyhow::Error) {
        let ready = self.state == State::Ready;
        self.state = State::Unreachable;
        let failure = Failure::new(Some(&self.name), error);
        let mut texts = vec![failure.message];
        texts.extend(failure.causes);
        self.trouble.push(texts.join(": "));
        self.notes.extend(failure.hint.map(|hint| format!("hint: {hint}")));
        if ready {
            self.notes.push(String::from("the cluster sees it ready"));
        }
    }

    fn see_certificates(&mut self, now: Timestamp) {
        self.certificates.sort_by_key(|(name, certificate)| (certificate.ends, name.clone()));
        let leaves = self.certificates.iter().filter(|(_, one)| !one.is_authority);
        let due: Vec<_> = leaves.filter(|(_, one)| one.days_left(now) <= RENEWED).collect();
        let unit = self.role.unit().trim_end_matches(".service");
        if let Some((name, first)) = due.first() {
            let (left, count) = (first.days_left(now), due.len());
            let text = format!("a restart of {unit} renews {count} of its certificates");
            if left < 0 {
                self.trouble.push(format!("`{name}` ended {} days ago; {text}", -left));
            } else if left < TROUBLE {
                self.trouble.push(format!("`{name}` ends in {left} days; {text}"));
            } else {
                self.notes.push(format!("{text}: `{name}` ends in {left} days"));
            }
        }
        let authorities = self.certificates.iter().filter(|(_, one)| one.is_authority);
        for (name, authority) in authorities.filter(|(_, one)| one.days_left(now) <= 365) {
            let left = authority.days_left(now);
            self.notes.push(format!(
                "the CA `{name}` ends in {left} days: `k3s certificate rotate-ca` replaces it"
            ));
        }
    }

    fn see_snapshots(&mut self, schedule: &str) {
        let Some(snapshots) = &self.snapshots else { return };
        let Some(pause) = longest_pause(schedule, snapshots.now) else { return };
        // Some file systems do not keep when a folder was made.
        let authority = self.certificates.iter().find(|(name, _)| name == "server/tls/server-ca");
        let since = authority.map_or(snapshots.since, |(_, one)| one.begins.max(snapshots.since));
        let last = snapshots.newest.as_ref().map_or(since, |(_, time)| *time);
        let limit = pause.saturating_add(SignedDuration::from_mins(LATE));
        // What is younger than the schedule need not have been saved yet.
        if snapshots.now.duration_since(last.max(since)) <= limit {
            return;
        }
        let wanted = format!("`{schedule}` makes one every {} at the most", age(pause.as_secs()));
        self.trouble.push(match &snapshots.newest {
            Some((name, time)) => {
                let old = age(snapshots.now.as_second() - time.as_second());
                format!("its newest etcd snapshot, `{name}`, is {old} old; {wanted}")
            }
            None => format!("it has no etcd snapshot; {wanted}"),
        });
    }

    /// The first of its certificates to end, authorities left out.
    #[must_use]
    pub fn first_to_end(&self) -> Option<&(String, Certificate)> {
        self.certificates.iter().find(|(_, one)| !one.is_authority)
    }
}

/// The longest time between two times of a crontab line; `None` for one that we cannot read.
fn longest_pause(schedule: &str, now: Timestamp) -> Option<SignedDuration> {
    let cron: croner::Cron = schedule.parse().ok()?;
    let start = now.to_zoned(jiff::tz::TimeZone::UTC);
    let times: Vec<Timestamp> =
        cron.iter_after(start).take(TIMES).map(|time| time.timestamp()).collect();
    times.windows(2).filter_map(|pair| Some(pair.get(1)?.duration_since(*pair.first()?))).max()
}

/// `3 days`, `5 h`, `12 min`.
#[must_use]
pub fn age(seconds: i64) -> String {
    match seconds {
        172_800.. => format!("{} days", days(seconds)),
        7_200.. => format!("{} h", seconds / 3600),
        120.. => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn the_longest_pause_of_a_schedule_is_found() {
        let hours = |schedule| longest_pause(schedule, at(1_000_000)).map(|pause| pause.as_hours());
        assert_eq!(hours("0 */6 * * *"), Some(6));
        assert_eq!(hours("0 0,20 * * *"), Some(20));
        assert_eq!(hours("0 3 * * 0"), Some(168));
        assert_eq!(hours("whenever"), None);
    }
}
