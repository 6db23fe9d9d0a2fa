use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;

use crate::action::{Answer, FileKind, FileState};
use crate::cluster::{Cluster, Datastore, Host, Role};
use crate::facts::{self, Facts};
use crate::releases::{Release, Releases};
use crate::remote::Output;
use crate::secret::{Endpoint, SecretRef};
use crate::step::Step;
use crate::steps::{self, Inputs, Terms};

/// What a server says of itself alone.
const OWN: [&str; 7] = [
    "node-name:",
    "node-ip:",
    "node-external-ip:",
    "flannel-iface:",
    "cluster-init:",
    "server:",
    "token-file:",
];

fn servers(names: &[&str]) -> Cluster {
    let text = include_str!("../../../cluster.toml");
    let mut cluster = crate::config::parse("cluster.toml", text).unwrap().cluster;
    for host in cluster.hosts.iter_mut().filter(|host| names.contains(&host.name.as_str())) {
        host.role = Role::Server;
    }
    cluster
}

fn facts(more: &str) -> Facts {
    let said = format!(
        "fact clock 1.5\nfact os debian\nfact os-version 12\nfact machine x86_64\nfact kernel 6.1\n\
         fact hostname a\nfact machine-id 01\nfact cpus 2\nfact memory 4000000\n\
         fact disk-free 9000000 4096\nfact cgroups cpu memory\nfact sshd port 22\n\
         fact login root 203.0.113.7 50000 198.51.100.1 22\n{more}"
    );
    facts::read(&Output { stdout: said, ..Output::default() }, 1.5).unwrap()
}

fn step(cluster: &Cluster, name: &str, step: &str, datastore: Option<&Endpoint>) -> Step {
    let sums = BTreeMap::from([(String::from("amd64"), "0".repeat(64))]);
    let version = cluster.k3s.version.clone();
    let k3s = Release { version, sha256: sums, ..Release::default() };
    let releases = Releases { k3s, ..Releases::default() };
    let first = facts("fact join-token K10aa::node:agents\nfact server-token K10aa::server:all\n");
    let host = cluster.host(name).unwrap();
    let nodes: Vec<&Host> = cluster.hosts.iter().collect();
    let facts = facts("");
    let inputs = Inputs {
        cluster,
        host,
        facts: &facts,
        nodes: &nodes,
        first_server: Some(&first),
        datastore,
        gpus: None,
        releases: &releases,
        terms: Terms::default(),
    };
    let entry = steps::ALL.iter().find(|entry| entry.name == step).unwrap();
    assert!((entry.concerns)(cluster, host), "{step} does not concern {name}");
    (entry.build)(&inputs).unwrap()
}

fn action(step: &Step, subject: &str) -> String {
    let found = step.actions().iter().find(|action| action.subject() == subject);
    format!("{:?}", found.unwrap_or_else(|| panic!("no `{subject}`"))).replace("\\n", "\n")
}

fn config(cluster: &Cluster, name: &str) -> String {
    action(&step(cluster, name, "k3s-server", None), "file /etc/rancher/k3s/config.yaml")
}

#[test]
fn what_must_be_alike_is_alike_on_every_server() {
    let cluster = servers(&["tethys", "styx", "meliae"]);
    let shared = |name: &str| -> BTreeSet<String> {
        let own = |line: &&str| OWN.iter().all(|key| !line.starts_with(key));
        config(&cluster, name).lines().filter(own).map(str::to_owned).collect()
    };
    let first = shared("tethys");
    assert!(first.iter().any(|line| line.starts_with("cluster-cidr:")), "{first:?}");
    assert_eq!(first, shared("styx"));
    assert_eq!(first, shared("meliae"));
}

#[test]
fn one_server_begins_and_the_others_join_it_with_the_servers_token() {
    let cluster = servers(&["tethys", "styx"]);
    let (first, second) = (config(&cluster, "tethys"), config(&cluster, "styx"));
    assert!(first.contains("cluster-init: true") && !first.contains("\ntoken-file:"), "{first}");
    assert!(second.contains("\nserver: ") && second.contains("\ntoken-file:"), "{second}");
    assert!(!second.contains("cluster-init"), "{second}");
    let seen = |token: &str| {
        let token = SecretString::from(token);
        Answer::File(FileState {
            kind: FileKind::File,
            mode: 0o600,
            owner: String::from("root:root"),
            sha256: crate::secret::sha256_hex(&token),
            content: None,
        })
    };
    let step = step(&cluster, "styx", "k3s-server", None);
    let file = step.actions().iter().find(|one| one.subject().ends_with("/join-token")).unwrap();
    assert!(file.diff(&[seen("K10aa::server:all")]).unwrap().is_none());
    assert!(file.diff(&[seen("K10aa::node:agents")]).unwrap().is_some());
}

#[test]
fn only_etcd_begins_a_cluster() {
    let mut cluster = servers(&[]);
    assert!(config(&cluster, "tethys").contains("cluster-init: true"), "one server alone");
    cluster.k3s.datastore = Datastore::Sqlite;
    assert!(!config(&cluster, "tethys").contains("cluster-init"));
    let endpoint = SecretString::from("postgres://k3s:canary@db.example.com/k3s");
    let endpoint = Endpoint::read(endpoint).unwrap();
    cluster.k3s.datastore = Datastore::External(SecretRef::Env(String::from("X")));
    let step = step(&cluster, "tethys", "k3s-server", Some(&endpoint));
    let all: Vec<String> = step.actions().iter().map(|action| action.subject()).collect();
    let place = |subject: &str| all.iter().position(|one| one == subject).unwrap();
    assert!(place("database at db.example.com:5432") < place("program /usr/local/bin/k3s"));
    let file = "file /etc/rancher/k3s/config.yaml.d/50-oceanid-datastore.yaml";
    assert!(place(file) < place("unit k3s.service"));
    assert!(action(&step, "unit k3s.service").contains("50-oceanid-datastore"), "an input");
    assert!(!format!("{:?}", step.actions()).contains("canary"));
}

#[test]
fn etcd_waits_for_those_that_this_run_does_not_touch_later() {
    let cluster = servers(&["tethys", "styx", "meliae"]);
    let members =
        |name: &str| action(&step(&cluster, name, "etcd", None), &format!("etcd member {name}"));
    assert!(members("tethys").contains("others: []"), "{}", members("tethys"));
    assert!(members("styx").contains("others: [\"tethys\"]"), "{}", members("styx"));
    assert!(members("meliae").contains("others: [\"tethys\", \"styx\"]"), "{}", members("meliae"));
}
