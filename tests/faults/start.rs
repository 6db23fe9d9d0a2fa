//! A k3s that does not start: the diagnosis says why, and a mended cluster.toml is enough.

use std::time::Duration;

use lab::{HostSpec, Lab, Topology};

use crate::drill::Site;

fn lab() -> Lab {
    let agent = HostSpec::new("styx");
    Lab::up(Topology::of(vec![HostSpec::new("tethys"), agent])).expect("a lab")
}

fn table(key: &str, value: impl Into<toml::Value>) -> toml::Table {
    let mut table = toml::Table::new();
    table.insert(key.to_owned(), value.into());
    table
}

#[test]
fn a_server_that_does_not_start_is_explained_and_its_agents_get_no_k3s() {
    let lab = lab();
    let mut site = Site::new(&lab, &["tethys", "styx"]);
    site.set("k3s", "ready-seconds", 20);
    // The lab's kernel needs the first.
    let mut keys = table("kubelet-arg", vec![String::from("fail-cgroupv1=false")]);
    let good = keys.clone();
    keys.extend(table("bogus-key", "x"));
    site.set("k3s", "server", keys);
    site.set("k3s", "allow-unknown", true);
    let failed = site.run(&["bootstrap", "--yes"]);
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    for part in [
        "k3s.service does not start",
        "the last lines of k3s.service:",
        "bogus-key",
        "it is prepared; tethys must be up first",
    ] {
        assert!(failed.said().contains(part), "no `{part}` in\n{}", failed.stderr);
    }
    assert!(failed.took < Duration::from_secs(60), "took {:?}", failed.took);
    let styx = lab.host("styx");
    let there = styx
        .exec(
            "ls -d /usr/local/bin/* /etc/rancher /var/lib/rancher /etc/systemd/system/k3s* 2>/dev/null; \
             ls /var/lib/oceanid/lock 2>/dev/null || :",
        )
        .expect("exec");
    assert_eq!(there, "", "nothing of k3s, and nobody holds it");

    site.set("k3s", "server", good);
    site.set("k3s", "ready-seconds", 120);
    site.converge();
    site.assert_whole(&["tethys", "styx"]);
}

#[test]
fn an_agent_that_cannot_reach_its_server_says_which_address() {
    let lab = lab();
    let mut site = Site::new(&lab, &["tethys", "styx"]);
    // Nobody has that address, and the lab's network lets nothing out.
    site.set("k3s", "endpoint", "203.0.113.7");
    site.set("k3s", "ready-seconds", 60);
    let failed = site.run(&["bootstrap", "--yes"]);
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    let part = "the API at https://203.0.113.7:6443 does not answer from here";
    assert!(failed.said().contains(part), "{}", failed.stderr);
    let styx = lab.host("styx");
    let there = styx.exec("ls /usr/local/bin /etc/rancher 2>/dev/null || :").expect("exec");
    assert!(!there.contains("k3s"), "nothing of k3s before the server is known: {there}");

    site.unset("k3s", "endpoint");
    site.converge();
    site.assert_whole(&["tethys", "styx"]);
}
