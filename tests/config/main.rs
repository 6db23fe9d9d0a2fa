//! Every mistake in cluster.toml is reported with its place; no secret ever is.

mod access;
mod baseline;
mod exit;
mod gpu;
mod harden;
mod k3s;
mod reserve;
mod servers;
mod sources;
mod triton;
mod yaml;

use std::fmt::Write;

use insta::assert_snapshot;
use oceanid::cluster::{Cluster, Role};
use oceanid::config::{Invalid, Severity, load, parse};
use oceanid::docs;
use proptest::prelude::*;

const EXAMPLE: &str = include_str!("../../cluster.toml");

/// The least that is valid; tests add lines to its last node.
const LEAST: &str = r#"[cluster]
name = "lab"
[k3s]
version = "v1.36.3+k3s1"
[[node]]
name = "one"
role = "server"
address = "192.0.2.1"
"#;

/// What is said about a text, errors and warnings alike.
fn said(text: &str) -> String {
    match parse("cluster.toml", text) {
        Ok(loaded) => {
            let all: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
            all.join("\n\n")
        }
        Err(wrong) => wrong.to_string(),
    }
}

fn valid(text: &str) -> Cluster {
    let loaded = parse("cluster.toml", text);
    loaded.map_err(|wrong| wrong.to_string()).expect("it is valid").cluster
}

fn least_with(lines: &str) -> String {
    format!("{LEAST}{lines}")
}

fn replaced(old: &str, new: &str) -> String {
    assert!(LEAST.contains(old), "{old}");
    LEAST.replace(old, new)
}

#[test]
fn the_example_is_valid_and_warns_of_its_private_node() {
    let loaded = parse("cluster.toml", EXAMPLE).unwrap_or_else(|wrong| panic!("{wrong}"));
    let names: Vec<_> = loaded.cluster.hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names, ["tethys", "styx", "meliae", "calypso"]);
    assert_eq!(loaded.cluster.first_server().role, Role::Server);
    assert_eq!(loaded.cluster.k3s.endpoint, "157.173.210.123");
    assert_eq!(loaded.cluster.host("meliae").unwrap().ssh.user.as_deref(), Some("ubuntu"));
    assert!(loaded.warnings.iter().all(|one| one.severity() == Severity::Warning));
    assert_snapshot!(said(EXAMPLE));
}

#[test]
fn the_least_file_is_valid_and_silent_and_defaults_are_filled_in() {
    assert_eq!(said(LEAST), "");
    let cluster = valid(LEAST);
    assert_eq!(cluster.guard.as_secs(), 90);
    assert_eq!(cluster.k3s.ready.as_secs(), 300);
    assert_eq!(cluster.k3s.flannel_backend, "wireguard-native");
    assert_eq!(cluster.k3s.pod_cidr.to_string(), "10.42.0.0/16");
    assert_eq!(cluster.k3s.endpoint, "192.0.2.1");
    assert_eq!(cluster.hosts[0].ssh.connect.as_secs(), 60);
    assert_eq!(cluster.sources.k3s, "https://github.com/k3s-io/k3s/releases/download");
}

#[test]
fn a_node_overrides_the_defaults_of_ssh() {
    let text = format!(
        "[ssh]\nuser = \"all\"\nport = 2222\nkeys = [\"~/.ssh/all\"]\njump = [\"one\"]\n{LEAST}\
         [[node]]\nname = \"two\"\nrole = \"agent\"\naddress = \"192.0.2.2\"\nport = 22\n\
         sudo-password = {{ command = [\"op\", \"read\"] }}\nkeys = [\"/k\"]\n"
    );
    let cluster = valid(&text);
    let [one, two] = &cluster.hosts[..] else { panic!("two hosts") };
    assert_eq!(one.ssh.jump, Vec::<String>::new(), "a default jump host is reached directly");
    assert_eq!(two.ssh.jump, ["one"]);
    assert_eq!((one.ssh.port, two.ssh.port), (Some(2222), Some(22)));
    assert_eq!(two.ssh.user.as_deref(), Some("all"));
    assert_eq!(two.ssh.keys, [std::path::PathBuf::from("/k")]);
    let home = std::env::home_dir().unwrap();
    assert_eq!(one.ssh.keys, [home.join(".ssh/all")]);
}

const TWENTY: &str = include_str!("twenty.toml");

#[test]
fn twenty_mistakes_in_one_file_are_reported_in_one_go_in_the_order_of_the_file() {
    let Err(Invalid::Wrong(found)) = parse("cluster.toml", TWENTY) else { panic!("it is wrong") };
    let errors = found.iter().filter(|one| one.severity() == Severity::Error);
    let lines: Vec<usize> = errors.map(oceanid::config::Diagnostic::line).collect();
    assert!(lines.is_sorted(), "{lines:?}");
    let marked = TWENTY.lines().enumerate().filter(|(_, line)| line.ends_with("# wrong"));
    let marked: Vec<usize> = marked.map(|(index, _)| index + 1).collect();
    assert_eq!(lines, marked);
    assert_eq!(marked.len(), 20);
    assert_snapshot!(said(TWENTY));
}

/// A second node, without its address.
const SECOND: &str = "[[node]]\nname = \"two\"\nrole = \"agent\"\n";

/// What is said about texts, each of which is wrong for a reason of its own.
fn refused<const N: usize>(cases: [(&str, String); N]) -> String {
    let mut all = String::new();
    for (case, text) in cases {
        assert!(parse("cluster.toml", &text).is_err(), "{case} is accepted:\n{text}");
        let said = said(&text);
        assert!(!said.contains("hunter2") && !said.contains("1234567"), "{case}: {said}");
        write!(all, "#### {case}\n{said}\n\n").expect("a string takes text");
    }
    all
}

#[test]
fn a_file_of_another_shape_is_refused() {
    let said = refused([
        ("empty file", String::new()),
        ("no node", LEAST.split("[[node]]").next().unwrap().to_owned()),
        ("[node]", LEAST.replace("[[node]]", "[node]")),
        ("[[nodes]]", LEAST.replace("[[node]]", "[[nodes]]")),
        ("top-level key", format!("name = 1\n{LEAST}")),
        ("key of another section", replaced("version", "pod-cidr = \"10.0.0.0/8\"\nversion")),
        ("far key", least_with("banana = 1\n")),
        ("missing key", replaced("address = \"192.0.2.1\"\n", "")),
        ("wrong type", least_with("port = \"22\"\n")),
        ("list", least_with("keys = \"~/.ssh/id\"\n")),
        ("port", least_with("port = 70000\n")),
        ("port zero", least_with("port = 0\n")),
        ("role", replaced("\"server\"", "\"sever\"")),
    ]);
    assert_snapshot!(said);
}

#[test]
fn a_bad_node_is_refused() {
    let said = refused([
        ("no server", replaced("\"server\"", "\"agent\"")),
        ("name", replaced("\"one\"", "\"One_1\"")),
        ("cluster name", replaced("\"lab\"", "\"my lab\"")),
        (
            "same name",
            least_with(&format!("{}address = \"192.0.2.2\"\n", SECOND.replace("two", "one"))),
        ),
        ("same address", least_with(&format!("{SECOND}address = \"192.0.2.1\"\n"))),
        (
            "same node-ip",
            least_with(&format!(
                "node-ip = \"10.0.0.1\"\n{SECOND}address = \"192.0.2.2\"\nnode-ip = \"10.0.0.1\"\n"
            )),
        ),
        (
            "two local",
            least_with(&format!("local = true\n{SECOND}address = \"192.0.2.2\"\nlocal = true\n")),
        ),
        ("address", replaced("192.0.2.1", "192.0.2.256")),
        ("address with user", replaced("192.0.2.1", "root@192.0.2.1")),
        ("address with port", replaced("192.0.2.1", "a.example.com:22")),
        ("ip", least_with("node-ip = \"10.0.0\"\n")),
        ("user", least_with("user = \"a b\"\n")),
        ("interface", least_with("interface = \"wireguard-interface\"\n")),
        ("key path", least_with("keys = [\"id_ed25519\"]\n")),
        ("host key", least_with("host-key = \"ssh-ed25519 AAAA\"\n")),
        ("host key with name", least_with("host-key = \"host ssh-ed25519 AAAA\"\n")),
        ("fingerprint", least_with("host-key = \"SHA256:abc\"\n")),
    ]);
    assert_snapshot!(said);
}

#[test]
fn bad_labels_and_taints_are_refused() {
    let said = refused([
        ("label", least_with("labels = { \"-x\" = \"a b\" }\n")),
        ("role label", least_with("labels = { \"node-role.kubernetes.io/worker\" = \"\" }\n")),
        ("reserved label", least_with("labels = { \"kubernetes.io/x\" = \"\" }\n")),
        ("taint effect", least_with("taints = [\"a=b:noschedule\", \"a=b:Never\"]\n")),
        ("taint", least_with("taints = [\"a=b\", \"a b:NoExecute\"]\n")),
        ("taint twice", least_with("taints = [\"a=b:NoExecute\", \"a=c:NoExecute\"]\n")),
    ]);
    assert_snapshot!(said);
}

#[test]
fn bad_networks_are_refused() {
    let said = refused([
        ("cidr", replaced("\"lab\"", "\"lab\"\npod-cidr = \"10.42.1.0/16\"\nservice-cidr = \"x\"")),
        ("overlap", replaced("\"lab\"", "\"lab\"\npod-cidr = \"10.0.0.0/8\"")),
        ("families", replaced("\"lab\"", "\"lab\"\npod-cidr = \"fd00::/48\"")),
        ("small", replaced("\"lab\"", "\"lab\"\npod-cidr = \"10.0.0.0/25\"")),
        ("large", replaced("\"lab\"", "\"lab\"\nservice-cidr = \"11.0.0.0/8\"")),
        ("address in pods", least_with("node-ip = \"10.42.0.7\"\n")),
    ]);
    assert_snapshot!(said);
}

#[test]
fn bad_settings_of_k3s_are_refused() {
    let said = refused([
        ("version", replaced("v1.36.3+k3s1", "1.36.3")),
        ("channel", replaced("v1.36.3+k3s1", "stabel")),
        ("backend", replaced("[[node]]", "flannel-backend = \"wireguard\"\n[[node]]")),
        ("component", replaced("[[node]]", "disable = [\"traefic\", \"nginx\"]\n[[node]]")),
        ("endpoint", replaced("[[node]]", "endpoint = \"https://a.example.com:6443\"\n[[node]]")),
        (
            "ours",
            replaced(
                "[[node]]",
                "server = { token = \"hunter2\", node-name = \"x\", \"tls-san+\" = [] }\n[[node]]",
            ),
        ),
        (
            "secret setting",
            replaced(
                "[[node]]",
                "server = { datastore-endpoint = \"mysql://u:hunter2@h\" }\n[[node]]",
            ),
        ),
        (
            "odd settings",
            replaced(
                "[[node]]",
                "server = { a = { b = 1 }, node_x = 1, c = 2020-01-01 }\n[[node]]",
            ),
        ),
    ]);
    assert_snapshot!(said);
}

#[test]
fn bad_jumps_are_refused() {
    let said = refused([
        (
            "jump",
            least_with(&format!("{SECOND}address = \"192.0.2.2\"\njump = [\"onw\", \"a@b:0\"]\n")),
        ),
        (
            "jump circle",
            least_with(&format!(
                "jump = [\"two\"]\n{SECOND}address = \"192.0.2.2\"\njump = [\"one\"]\n"
            )),
        ),
        ("local jump", least_with("local = true\njump = [\"a@b.c\"]\n")),
    ]);
    assert_snapshot!(said);
}

#[test]
fn literal_secrets_are_refused_and_not_shown() {
    let said = refused([
        ("literal", least_with("sudo-password = \"hunter2\"\n")),
        ("literal number", least_with("sudo-password = 1234567\n")),
        ("wrong reference", least_with("sudo-password = { value = \"hunter2\" }\n")),
        ("no variable", least_with("sudo-password = { env = \"hunter2!\" }\n")),
        ("misspelled literal", least_with("sudo-pasword = \"hunter2\"\n")),
        ("private key", least_with("keys = [\"-----BEGIN OPENSSH PRIVATE KEY-----hunter2\"]\n")),
    ]);
    assert_snapshot!(said);
}

#[test]
fn bad_sections_and_broken_syntax_are_refused() {
    let said = refused([
        ("triton without gpu", least_with("[triton]\nimage = \"triton\"\nmodels = \"models\"\n")),
        (
            "tunnel",
            least_with("[[tunnel]]\nhostname = \"a b\"\nnode = \"on\"\ntoken = \"hunter2\"\n"),
        ),
        (
            "sources",
            least_with("[sources]\nk3s = \"ftp://x\"\ncloudflared = \"https://u:hunter2@x/\"\n"),
        ),
        ("syntax", least_with("user = \n")),
        ("syntax of a secret", least_with("sudo-password = \"hunter2\n")),
        ("duplicate key", least_with("name = \"two\"\nport = 0\n")),
    ]);
    assert_snapshot!(said);
}

#[test]
fn every_warning_has_a_message_of_its_own() {
    let agent = "[[node]]\nname = \"two\"\nrole = \"agent\"\naddress = \"192.0.2.2\"\n";
    let cases = [
        ("private", replaced("192.0.2.1", "100.64.0.1")),
        ("private server", replaced("192.0.2.1", "10.1.0.1") + agent),
        ("http", least_with("[sources]\nk3s = \"http://mirror.lan/k3s/\"\n")),
        ("unused", least_with("[harden]\n[gpu]\n")),
    ];
    let mut all = String::new();
    for (case, text) in cases {
        valid(&text);
        write!(all, "#### {case}\n{}\n\n", said(&text)).unwrap();
    }
    assert_snapshot!(all);
    for quiet in ["local = true\n", "jump = [\"root@192.0.2.9\"]\n"] {
        assert_eq!(said(&(replaced("192.0.2.1", "10.1.0.1") + quiet)), "");
    }
}

#[test]
fn the_same_private_address_behind_two_jump_hosts_is_two_hosts() {
    let text = least_with(
        "[[node]]\nname = \"two\"\nrole = \"agent\"\naddress = \"10.0.0.5\"\njump = [\"a@b.c\"]\n\
         [[node]]\nname = \"three\"\nrole = \"agent\"\naddress = \"10.0.0.5\"\njump = [\"a@d.e\"]\n",
    );
    assert_eq!(valid(&text).hosts.len(), 3);
}

#[test]
fn a_file_that_is_not_there_is_an_error_with_its_path() {
    let wrong = load(std::path::Path::new("/nonexistent/cluster.toml")).unwrap_err();
    assert_snapshot!(wrong);
}

#[test]
fn docs_explain_every_key_within_80_columns() {
    let all = docs::render(None).unwrap();
    for line in all.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert_snapshot!(all);
}

#[test]
fn docs_of_one_key_hold_that_key_only() {
    assert_snapshot!("docs_of_node_jump", docs::render(Some("node.jump")).unwrap());
    let wrong = docs::render(Some("node.jmup")).unwrap_err().to_string();
    assert!(wrong.contains("did you mean `node.jump`?"), "{wrong}");
    assert!(docs::render(Some("harden")).unwrap().starts_with("[harden]"));
}

/// Deletes, doubles and replaces parts of a text at any place.
fn mutated(text: &'static str) -> impl Strategy<Value = String> {
    let cut = (0..=text.len(), 0..12_usize, "[a-z0-9=\"'\\[\\]{}#.,\n\u{e9}-]{0,3}");
    prop::collection::vec(cut, 1..6).prop_map(move |cuts| {
        let mut text: Vec<char> = text.chars().collect();
        for (at, length, new) in cuts {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            text.splice(at..end, new.chars());
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        said(&text);
    }

    #[test]
    fn no_change_to_the_example_makes_it_panic(text in mutated(EXAMPLE)) {
        said(&text);
    }

    #[test]
    fn a_literal_secret_is_never_shown(text in mutated(EXAMPLE), line in any::<prop::sample::Index>()) {
        let mut lines: Vec<&str> = text.split('\n').collect();
        let at = line.index(lines.len() + 1);
        lines.insert(at, "sudo-password = \"canary-7261\"");
        let said = said(&lines.join("\n"));
        prop_assert!(!said.contains("canary-7261"), "{}", said);
    }
}
