//! k3s' settings: every key of k3s in its place, and every setting that is refused or warned of.

use std::fmt::Write as _;

use insta::assert_snapshot;

use super::{LEAST, least_with, refused, replaced, said, valid};

/// The flags of k3s, as the stand-in has them: role, kind, name with alias.
const FLAGS: &str = include_str!("../lab/sim/src/k3s/flags.txt");

fn k3s(lines: &str) -> String {
    replaced("[[node]]", &format!("{lines}\n[[node]]"))
}

/// The least with a second node; `one` and `two` are added to each.
fn two(k3s: &str, one: &str, role: &str, two: &str) -> String {
    let first = LEAST.replace("[[node]]", &format!("{k3s}\n[[node]]"));
    format!("{first}{one}\n[[node]]\nname = \"two\"\nrole = \"{role}\"\n{two}\n")
}

#[test]
fn every_key_of_k3s_is_known_with_its_role_and_kind() {
    for row in FLAGS.lines().filter(|row| !row.starts_with('#')) {
        let words: Vec<&str> = row.split_whitespace().collect();
        let name = words[2].split(',').next().expect("a name");
        let value = match words[1] {
            "list" => "[]",
            "switch" => "true",
            _ => "\"x\"",
        };
        for role in ["server", "agent"] {
            let file = k3s(&format!("{role} = {{ {name} = {value} }}"));
            let said = said(&format!("{file}[baseline]\nzones = false\n"));
            let other = words[0] != "both" && words[0] != role;
            let ours = ["is set by oceanid", "must not stand", "holds a secret"]
                .iter()
                .any(|text| said.contains(text));
            let elsewhere = said.contains("s alone: k3s would not start here");
            assert_eq!(elsewhere, other && !ours, "{name} of {role}: {said}");
            assert!(other || ours || said.is_empty(), "{name} of {role}: {said}");
        }
    }
}

#[test]
fn further_keys_that_k3s_would_not_take_are_refused() {
    let server = |keys: &str| k3s(&format!("server = {{ {keys} }}"));
    let said = refused([
        ("unknown", server("kubelet-args = [\"v=2\"]")),
        ("unknown and far", server("banana = 1")),
        ("of agents", server("disable-apiserver-lb = true")),
        ("of servers", k3s("agent = { \"kube-apiserver-arg+\" = [\"v=2\"] }")),
        ("list as text", server("kubelet-arg = \"v=2\"")),
        ("text as list", server("bind-address = [\"192.0.2.1\"]")),
        ("text as switch", server("snapshotter = true")),
        ("switch as text", server("debug = \"yes\"")),
        ("list of switches", server("kubelet-arg = [true]")),
        ("plus without a list", server("\"snapshotter+\" = \"native\"")),
        ("mode", server("write-kubeconfig-mode = 600")),
        ("state", server("cluster-init = true, cluster-reset = true, data-dir = \"/k3s\"")),
        ("snapshots", server("etcd-snapshot-retention = 3, secrets-encryption = false")),
        ("plugins", server("kube-apiserver-arg = [\"enable-admission-plugins=PodNodeSelector\"]")),
        (
            "rate limit",
            server(
                "kube-apiserver-arg = [\"enable-admission-plugins=NodeRestriction,EventRateLimit\"]",
            ),
        ),
    ]);
    assert_snapshot!(said);
    for good in [
        "allow-unknown = true\nserver = { banana = 1 }",
        "server = { \"kubelet-arg+\" = [\"v=2\"], kubelet-arg = [\"max-pods=50\"] }",
        "server = { write-kubeconfig-mode = \"0640\", etcd-snapshot-compress = true, lb-server-port = 6445 }",
    ] {
        assert_eq!(said_of(good), "", "{good}");
    }
}

fn said_of(lines: &str) -> String {
    said(&k3s(lines))
}

#[test]
fn bad_schedules_and_sites_are_refused() {
    let public = "address = \"192.0.2.2\"";
    let said = refused([
        ("schedule", k3s("snapshot-schedule = \"0 25 * * *\"")),
        ("six fields", k3s("snapshot-schedule = \"0 0 */6 * * *\"")),
        ("short name", k3s("snapshot-schedule = \"@often\"")),
        ("retention", k3s("snapshot-retention = 0")),
        ("datastore", k3s("datastore = \"mysql\"")),
        ("servers apart", two("", "site = \"a\"", "server", &format!("{public}\nsite = \"b\""))),
        (
            "routes",
            two(
                "flannel-backend = \"host-gw\"",
                "site = \"a\"",
                "agent",
                &format!("{public}\nsite = \"b\""),
            ),
        ),
        ("hidden server", two("", "behind-nat = true", "agent", public)),
        ("hidden second server", two("", "", "server", "address = \"10.0.0.2\"\njump = [\"one\"]")),
    ]);
    assert_snapshot!(said);
    for good in [
        two("servers-apart = true", "site = \"a\"", "server", &format!("{public}\nsite = \"b\"")),
        two("", "site = \"a\"", "server", "address = \"10.0.0.2\"\njump = [\"one\"]\nsite = \"a\""),
        two("", "behind-nat = true\nsite = \"a\"", "agent", &format!("{public}\nsite = \"a\"")),
        two("", "", "agent", &format!("{public}\nsite = \"b\"")),
    ] {
        valid(&good);
    }
}

#[test]
fn what_may_not_be_meant_is_warned_of() {
    let home = "address = \"10.0.0.2\"\njump = [\"one\"]";
    let third =
        "[[node]]\nname = \"three\"\nrole = \"agent\"\naddress = \"10.0.9.2\"\njump = [\"one\"]\n";
    let cases = [
        ("two behind NAT", two("", "", "agent", home) + third),
        ("NAT and vxlan", two("flannel-backend = \"vxlan\"", "", "agent", home)),
        (
            "router's address",
            two(
                "",
                "",
                "agent",
                "address = \"192.0.2.2\"\nexternal-ip = \"192.0.2.2\"\nbehind-nat = true",
            ),
        ),
        (
            "forwarded server",
            two(
                "endpoint = \"k3s.example.com\"",
                "behind-nat = true",
                "agent",
                "address = \"192.0.2.2\"",
            ),
        ),
        ("snapshots of sqlite", k3s("datastore = \"sqlite\"\nsnapshot-retention = 3")),
    ];
    let mut all = String::new();
    for (case, text) in cases {
        valid(&text);
        write!(all, "#### {case}\n{}\n\n", said(&text)).expect("a string takes text");
    }
    assert_snapshot!(all);
    let home_too = third.replace("jump", "site = \"home\"\njump");
    let together = two("", "", "agent", &format!("{home}\nsite = \"home\"")) + &home_too;
    assert_eq!(said(&together), "", "one site is one network");
    assert_eq!(said(&least_with("site = \"a\"\n")), "");
}
