//! What oceanid does not do, and how it says so.

use std::fmt::Write as _;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::cloud::{ALL, Cloud, OTHER, account};

/// What a plan says that cannot be made; nothing is written.
fn refused(cloud: &Cloud) -> String {
    let failed = cloud.oceanid(&["plan", "--only", "cloudflare"]).exits(1);
    assert_eq!(cloud.writes(), Vec::<String>::new());
    let lines = failed.stderr.lines().filter(|line| !line.starts_with("1 host: "));
    let said = lines.collect::<Vec<_>>().join("\n");
    cloud.neutral(said.trim_start_matches(['\n', ' ']))
}

/// An account with something else in it.
fn with(change: impl Fn(&mut Value)) -> Cloud {
    let mut state = account();
    change(&mut state);
    Cloud::of(&state)
}

#[test]
fn a_token_that_is_not_good_is_refused() {
    let mut all = String::new();
    let mut case = |name: &str, cloud: &Cloud| {
        write!(all, "#### {name}\n{}\n\n", refused(cloud)).expect("text");
    };
    case("unknown", &with(|state| state["tokens"][0]["value"] = json!("another")));
    case(
        "expired",
        &with(|state| {
            state["tokens"][0]["status"] = json!("expired");
            state["tokens"][0]["expires_on"] = json!("2026-01-31T00:00:00Z");
        }),
    );
    case("disabled", &with(|state| state["tokens"][0]["status"] = json!("disabled")));
    let wrong = Cloud::new();
    wrong.replace("[cloudflare]\n", &format!("[cloudflare]\naccount = \"{OTHER}\"\n"));
    case("another account", &wrong);
    let wrong = with(|state| state["tokens"][0]["kind"] = json!("account"));
    wrong.replace("[cloudflare]\n", &format!("[cloudflare]\naccount = \"{OTHER}\"\n"));
    case("another account's token", &wrong);
    case("another zone", &with(|state| state["zones"][0]["name"] = json!("example.net")));
    assert_snapshot!(all);
}

#[test]
fn every_missing_permission_is_named() {
    let mut all = String::new();
    for missing in ALL {
        let left: Vec<&str> = ALL.into_iter().filter(|one| *one != missing).collect();
        let cloud = with(|state| state["tokens"][0]["permissions"] = json!(left));
        write!(all, "#### without {missing}\n{}\n\n", refused(&cloud)).expect("text");
    }
    let cloud = with(|state| state["tokens"][0]["permissions"] = json!(["zone:read"]));
    write!(all, "#### without all\n{}\n\n", refused(&cloud)).expect("text");
    assert_snapshot!(all);
}

#[test]
fn a_token_that_may_only_read_is_told_what_it_lacks() {
    let read: Vec<String> = ALL.iter().map(|one| one.replace("dns:edit", "dns:read")).collect();
    let cloud = with(|state| state["tokens"][0]["permissions"] = json!(read));
    let failed = cloud.apply().exits(1);
    let at = failed.stderr.find("error:").expect("an error");
    let said = failed.stderr[at..].lines().filter(|line| !line.starts_with("1 host: "));
    assert_snapshot!(cloud.neutral(&said.collect::<Vec<_>>().join("\n")));
    let id = cloud.only("tunnels");
    assert_eq!(id["name"], "ocean-calypso", "what came before it was made");
}

#[test]
fn what_is_not_ours_is_never_touched() {
    let record = |kind: &str, content: &str, comment: Value| {
        json!({ "id": "theirs", "zone_id": "zone1", "type": kind, "name": "gpu.example.com",
            "content": content, "proxied": true, "ttl": 1, "comment": comment })
    };
    let app = |domain: &str| json!({ "id": "theirs", "name": "Grafana", "domain": domain, "type": "self_hosted" });
    let mut all = String::new();
    for (name, list, thing) in [
        ("an address", "dns", record("A", "192.0.2.7", Value::Null)),
        (
            "another cluster's name",
            "dns",
            record("CNAME", "x.cfargotunnel.com", json!("oceanid:ocean-two")),
        ),
        ("an application", "access_apps", app("gpu.example.com")),
        ("an application for a path", "access_apps", app("gpu.example.com/v2/models")),
    ] {
        let cloud = with(|state| state[list] = json!([thing]));
        write!(all, "#### {name}\n{}\n\n", refused(&cloud)).expect("text");
        assert_eq!(cloud.only(list), thing);
    }
    let cloud = with(|state| {
        state["rulesets"] = json!([{ "id": "set1", "zone_id": "zone1", "phase": "http_ratelimit",
            "kind": "zone", "version": "1", "rules": [{ "id": "r", "ref": "theirs" }] }]);
    });
    write!(all, "#### the one rule of the free plan\n{}\n\n", refused(&cloud)).expect("text");
    let cloud = Cloud::new();
    cloud.write_toml("rate-limit = { requests = 100, period = 60 }\n");
    write!(all, "#### a period of paid plans\n{}\n\n", refused(&cloud)).expect("text");
    assert_snapshot!(all);
}

#[test]
fn a_record_with_our_comment_is_taken_over() {
    let cloud = with(|state| {
        state["dns"] = json!([{ "id": "handed-over", "zone_id": "zone1", "type": "A",
            "name": "gpu.example.com", "content": "192.0.2.7", "proxied": false, "ttl": 1,
            "comment": "oceanid:ocean" }]);
    });
    cloud.apply().exits(0);
    let record = cloud.only("dns");
    assert_eq!((&record["id"], &record["type"]), (&json!("handed-over"), &json!("CNAME")));
}
