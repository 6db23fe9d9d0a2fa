//! How nodes are judged and shown: without a host.

use std::fmt::Write as _;

use insta::assert_snapshot;
use jiff::{SignedDuration, Timestamp};
use oceanid::certificate::Certificate;
use oceanid::cluster::Cluster;
use oceanid::config::parse;
use oceanid::health::{Drift, Health, Look, Seen, Snapshots, State};
use oceanid::kube::Census;
use oceanid::remote::RemoteError;
use oceanid::report::{Style, status};

const FILE: &str = r#"[cluster]
name = "ocean"
[k3s]
version = "v1.36.3+k3s1"
[[node]]
name = "tethys"
role = "server"
address = "192.0.2.1"
[[node]]
name = "styx"
role = "agent"
address = "192.0.2.2"
[[node]]
name = "calypso"
role = "agent"
address = "192.0.2.3"
"#;

fn cluster() -> Cluster {
    parse("cluster.toml", FILE).map_err(|wrong| wrong.to_string()).expect("valid").cluster
}

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().expect("a time")
}

fn later(days: i64) -> Timestamp {
    now() + SignedDuration::from_hours(24 * days)
}

/// A node that is Ready, with one condition more.
fn node(name: &str, version: &str, condition: &str) -> String {
    format!(
        r#"{{"metadata": {{"name": "{name}"}}, "status": {{
            "conditions": [{{"type": "Ready", "status": "True"}}, {{"type": "{condition}", "status": "True"}}],
            "addresses": [{{"type": "InternalIP", "address": "10.0.0.7"}},
                {{"type": "ExternalIP", "address": "198.51.100.7"}}],
            "nodeInfo": {{"kubeletVersion": "{version}"}}}}}}"#
    )
}

/// These nodes, all heard of just now.
fn census(nodes: &[String]) -> Census {
    let nodes = nodes.join(", ");
    let lease = |name| {
        format!(
            r#"{{"metadata": {{"name": "{name}"}}, "spec": {{"renewTime": "1970-01-01T00:00:01Z"}}}}"#
        )
    };
    let leases = ["tethys", "styx"].map(lease).join(", ");
    let said = format!(r#"{{"items": [{leases}]}} {{"items": [{nodes}]}} 1"#);
    Census::read(&said).expect("leases, nodes and a time")
}

fn certificate(name: &str, days: i64) -> (String, Certificate) {
    let subject = format!("CN={name}");
    let one =
        Certificate { subject, begins: later(days - 365), ends: later(days), is_authority: false };
    (name.to_owned(), one)
}

fn looked(certificates: &[(&str, i64)]) -> Look {
    let certificates = certificates.iter().map(|(name, days)| certificate(name, *days)).collect();
    Look { certificates, ..Look::default() }
}

fn judged(host: &str, look: Look, nodes: &[String]) -> Health {
    let cluster = cluster();
    let census = census(nodes);
    let drift = Drift::Pending(Vec::new());
    let seen = Seen { look: Ok(look), drift, census: Some(&census), version: VERSION };
    Health::judge(&cluster, cluster.host(host).expect("a host"), seen, now())
}

fn saved(age: Option<i64>, since: i64) -> Look {
    let ago = |hours: i64| now() - SignedDuration::from_hours(hours);
    let newest = age.map(|hours| (String::from("etcd-snapshot-x"), ago(hours)));
    let snapshots = Snapshots { newest, count: 1, since: ago(since), now: now() };
    Look { snapshots: Some(snapshots), ..Look::default() }
}

const VERSION: &str = "v1.36.3+k3s1";

#[test]
fn certificates_are_news_120_days_before_their_end_and_trouble_in_the_last_30() {
    let nodes = [node("styx", VERSION, "Fine")];
    let with =
        |days| judged("styx", looked(&[("agent/serving-kubelet", days), ("agent/x", 364)]), &nodes);
    let calm = with(121);
    assert!(calm.is_well() && calm.notes.is_empty() && calm.state == State::Ready, "{calm:?}");
    let due = with(120);
    let text = "a restart of k3s-agent renews 1 of its certificates: `agent/serving-kubelet` ends in 120 days";
    assert!(due.is_well() && due.notes == [text], "{due:?}");
    assert_eq!(
        with(29).trouble,
        [
            "`agent/serving-kubelet` ends in 29 days; a restart of k3s-agent renews 1 of its certificates"
        ]
    );
    assert!(with(-3).trouble[0].contains("ended 3 days ago"), "{:?}", with(-3));
    assert_eq!(with(29).state, State::Troubled);
}

#[test]
fn a_snapshot_may_be_as_old_as_the_schedule_allows() {
    let nodes = [node("tethys", VERSION, "Fine")];
    let trouble = |age, since| judged("tethys", saved(age, since), &nodes).trouble.join("; ");
    // Every six hours, as cluster.toml says when it says nothing.
    assert_eq!(trouble(Some(6), 100), "");
    assert_eq!(
        trouble(Some(7), 100),
        "its newest etcd snapshot, `etcd-snapshot-x`, is 7 h old; `0 */6 * * *` makes one every 6 h at the most"
    );
    assert_eq!(trouble(None, 6), "", "it is younger than the schedule");
    assert!(trouble(None, 7).starts_with("it has no etcd snapshot"), "{}", trouble(None, 7));
}

#[test]
fn pressure_versions_and_absence_are_trouble() {
    let nodes = [node("tethys", "v1.35.1+k3s1", "Fine"), node("styx", VERSION, "MemoryPressure")];
    let state = |name| judged(name, Look::default(), &nodes).state;
    assert_eq!(judged("tethys", Look::default(), &nodes).trouble, ["it still runs v1.35.1+k3s1"]);
    assert_eq!(judged("styx", Look::default(), &nodes).pressure, ["MemoryPressure"]);
    assert_eq!(
        (state("tethys"), state("styx"), state("calypso")),
        (State::NotReady, State::Troubled, State::Missing)
    );
}

fn shown(nodes: &[Health], remarks: &[String]) -> String {
    let mut out = Vec::new();
    status(&mut out, nodes, remarks, now(), Style::Plain).expect("memory takes it");
    let text = String::from_utf8(out).expect("UTF-8");
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    text
}

#[test]
fn everything_fits_into_80_columns() {
    let nodes = [node("tethys", VERSION, "Fine"), node("styx", VERSION, "DiskPressure")];
    let (cluster, mut all) = (cluster(), Vec::new());
    let mut saved = saved(Some(7), 100);
    saved.certificates = vec![certificate("server/tls/client-admin", 98)];
    all.push(judged("tethys", saved, &nodes));
    let mut styx = judged("styx", looked(&[("agent/client-kubelet", 364)]), &nodes);
    styx.drift = Drift::Pending(vec![String::from("prepare: file /etc/x: change")]);
    all.push(styx);
    let last = String::from("connection refused");
    let waited = std::time::Duration::from_secs(15);
    let error =
        RemoteError::Unreachable { address: "192.0.2.3:22".to_owned(), waited, last }.into();
    let drift = Drift::Unknown(String::from("we are not in"));
    let census = census(&nodes);
    let seen = Seen { look: Err(&error), drift, census: Some(&census), version: VERSION };
    all.push(Health::judge(&cluster, cluster.host("calypso").expect("a host"), seen, now()));
    let remarks = [String::from("join token abcdef ends in 3 h")];
    let mut text = shown(&all, &remarks);
    all[0].addresses = vec![String::from("2001:db8:1234:5678:9abc:def0:1234:5678")];
    write!(text, "----\n{}", shown(&all, &[])).expect("a string takes text");
    assert_snapshot!(text);
}
