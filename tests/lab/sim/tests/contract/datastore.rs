//! A datastore that is not k3s' own; the lab's database stands in for one that the real k3s knows.

use crate::ground::{Host, Role, is_near, server};

const PASSWORD: &str = "canary-database";
const DROP_IN: &str = "/etc/rancher/k3s/config.yaml.d/50-datastore.yaml";

/// A host with a database that ends with the test.
struct Ground(Host);

impl Ground {
    fn new() -> Option<Self> {
        if !is_near() {
            eprintln!("skipped: there is no database for a real k3s");
            return None;
        }
        let host = Host::new("tethys");
        let sim = env!("CARGO_BIN_EXE_sim");
        host.must(&format!(
            "printf %s {PASSWORD} >/etc/rancher/password; \
             timeout 100 {sim} database 127.0.0.1:5432 k3s /etc/rancher/password >/dev/null 2>&1 </dev/null & \
             echo $! >/etc/rancher/pid; sleep 0.3"
        ));
        host.configure("");
        Some(Self(host))
    }

    fn start(&mut self, endpoint: &str) {
        self.0.must(&format!("printf 'datastore-endpoint: \"{endpoint}\"\\n' >{DROP_IN}"));
        self.0.start(Role::Server);
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.0.run("kill $(cat /etc/rancher/pid)");
    }
}

/// facts 1.6: drop-ins are read; the state is in the database, and the token opens it.
#[test]
fn the_state_is_in_the_database() {
    let Some(mut ground) = Ground::new() else { return };
    ground.start(&format!("postgres://k3s:{PASSWORD}@127.0.0.1:5432/k3s"));
    ground.0.ready();
    ground.0.node_is("tethys", "True");
    ground.0.must("k3s kubectl label node tethys kept=yes");
    let node = ground.0.node("tethys").expect("a node");
    let annotations = node["metadata"]["annotations"].to_string();
    assert!(!annotations.contains(PASSWORD) && annotations.contains("--datastore-endpoint"));
    assert!(node["metadata"]["labels"].get("node-role.kubernetes.io/etcd").is_none());
    ground.0.stop();
    ground.0.must("rm -rf /var/lib/rancher/k3s/server/db");
    ground.0.start(Role::Server);
    ground.0.ready();
    let node = ground.0.node("tethys").expect("a node");
    assert_eq!(node["metadata"]["labels"]["kept"], "yes");
}

/// kine: what the database or the network says ends it.
#[test]
fn a_database_that_is_not_there_or_lets_nobody_in_ends_it() {
    let Some(mut ground) = Ground::new() else { return };
    for (endpoint, said) in [
        ("postgres://k3s:wrong@127.0.0.1:5432/k3s", "password authentication failed"),
        ("postgres://k3s:wrong@127.0.0.1:5439/k3s", "connection refused"),
    ] {
        ground.start(endpoint);
        assert_ne!(ground.0.exit_code(), 0);
        ground.0.logged(said, 1);
        assert!(!ground.0.log().contains("wrong"), "{}", ground.0.log());
    }
}

/// k3s without any of the keys: a file on the one server, and no snapshots.
#[test]
fn without_a_datastore_it_is_sqlite() {
    let host = server("");
    host.must("test -e /var/lib/rancher/k3s/server/db/state.db");
    host.must("! test -e /var/lib/rancher/k3s/server/db/etcd");
    let saved = host.run("k3s etcd-snapshot save");
    assert!(!saved.status.success());
}
