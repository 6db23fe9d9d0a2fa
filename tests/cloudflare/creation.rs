//! From nothing to everything, and then nothing more.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;
use serde_json::json;

use crate::cloud::{ACCOUNT, Cloud, account};

#[test]
fn everything_is_made_once_and_the_way_in_comes_last() {
    let cloud = Cloud::new();
    let plan = cloud.oceanid(&["plan", "--only", "cloudflare", "--diff"]).exits(0);
    assert_snapshot!("plan", cloud.neutral(&plan.stdout));
    cloud.oceanid(&["plan", "--only", "cloudflare", "--detailed-exitcode"]).exits(2);
    cloud.oceanid(&["verify", "--only", "cloudflare"]).exits(2);
    assert_eq!(cloud.writes(), Vec::<String>::new(), "a plan only asks");

    let done = cloud.apply().exits(0);
    assert!(
        done.stderr.contains("1 host: 0 unchanged, 1 changed (6 changes), 0 failed"),
        "{}",
        done.stderr
    );
    let writes = cloud.neutral(&cloud.writes().join("\n"));
    assert_snapshot!("writes", writes);
    what_is_there_is_right(&cloud);

    let before = cloud.requests().len();
    let again = cloud.apply().exits(0);
    assert!(again.stderr.contains("1 host: 1 unchanged"), "{}", again.stderr);
    cloud.oceanid(&["plan", "--only", "cloudflare", "--detailed-exitcode"]).exits(0);
    cloud.oceanid(&["verify", "--only", "cloudflare"]).exits(0);
    let json = cloud.oceanid(&["plan", "--json", "--only", "cloudflare"]).exits(0);
    assert!(
        json.stdout.contains(r#""event":"planned","host":"cloudflare","changes":[]"#),
        "{}",
        json.stdout
    );
    let later = cloud.requests().split_off(before);
    assert!(later.iter().all(|request| request["method"] == "GET"), "{later:#?}");
    // One look is few requests: a token may make 1200 in five minutes.
    assert!(later.len() / 4 <= 12, "{} requests", later.len() / 4);
}

fn what_is_there_is_right(cloud: &Cloud) {
    let (tunnel, record) = (cloud.only("tunnels"), cloud.only("dns"));
    assert_eq!(tunnel["name"], "ocean-calypso");
    assert_eq!(tunnel["config_src"], "local");
    let id = tunnel["id"].as_str().expect("an id");
    assert_eq!(record["content"], format!("{id}.cfargotunnel.com"));
    assert_eq!(record["proxied"], true);
    assert_eq!(record["comment"], "oceanid:ocean");
    let (app, token) = (cloud.only("access_apps"), cloud.only("service_tokens"));
    assert_eq!(app["domain"], "gpu.example.com");
    let policies = app["policies"].as_array().expect("a list");
    assert_eq!(policies.len(), 1);
    assert_eq!(policies[0]["decision"], "non_identity");
    assert_eq!(policies[0]["reusable"], true);
    assert_eq!(policies[0]["include"], json!([{ "service_token": { "token_id": token["id"] } }]));
    assert_eq!(token["name"], "oceanid:ocean calls");
    let file = cloud.secret_file();
    let secret = fs::read_to_string(&file).expect("it was stored");
    assert_eq!(secret.trim_end(), token["client_secret"]);
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    let rules: Vec<_> = cloud
        .list("rulesets")
        .iter()
        .map(|one| one["rules"].as_array().map_or(0, Vec::len))
        .collect();
    assert_eq!(rules, [2, 1]);
}

#[test]
fn a_token_of_the_account_does_as_well_and_a_deleted_tunnel_is_not_taken() {
    let mut state = account();
    state["tokens"][0]["kind"] = json!("account");
    state["tunnels"] = json!([{
        "id": "00000000-0000-0000-0000-000000000000", "account_tag": ACCOUNT,
        "name": "ocean-calypso", "secret": "old", "config_src": "local",
        "created_at": "2026-01-01T00:00:00Z", "deleted_at": "2026-02-01T00:00:00Z",
        "connections": [], "config": null, "version": 0,
    }]);
    let cloud = Cloud::of(&state);
    cloud.apply().exits(0);
    assert_eq!(cloud.list("tunnels").len(), 2);
    let content = cloud.only("dns")["content"].clone();
    assert!(!content.as_str().expect("text").starts_with("00000000"), "{content}");
    // With its account in cluster.toml it is verified there at once.
    let before = cloud.requests().len();
    cloud.replace("[cloudflare]\n", &format!("[cloudflare]\naccount = \"{ACCOUNT}\"\n"));
    cloud.oceanid(&["verify", "--only", "cloudflare"]).exits(0);
    let second = cloud.requests().split_off(before).remove(1);
    assert_eq!(second["path"], format!("accounts/{ACCOUNT}/tokens/verify"));
}

#[test]
fn lists_are_read_to_their_end_and_names_of_paid_zones_are_told_apart() {
    let mut state = account();
    state["per_page"] = json!(1);
    state["zones"][0]["plan"]["legacy_id"] = json!("pro");
    let cloud = Cloud::of(&state);
    for number in 0..3 {
        let (id, name) = (format!("other-{number}"), format!("other {number}"));
        cloud.add("service_tokens", &json!({ "id": id, "name": name, "duration": "8760h" }));
        cloud.add("access_policies", &json!({ "id": id, "name": name, "decision": "allow" }));
        let domain = format!("{number}.example.com");
        cloud.add("access_apps", &json!({ "id": id, "name": name, "domain": domain }));
        cloud.add(
            "dns",
            &json!({ "id": id, "zone_id": "zone1", "type": "TXT",
            "name": "gpu.example.com", "content": name, "comment": null }),
        );
    }
    cloud.apply().exits(0);
    let before = cloud.requests().len();
    cloud.oceanid(&["verify", "--only", "cloudflare"]).exits(0);
    let pages = cloud.requests().split_off(before);
    let of = |path: &str| {
        pages
            .iter()
            .filter(|one| one["path"].as_str().is_some_and(|own| own.ends_with(path)))
            .count()
    };
    assert_eq!((of("service_tokens"), of("policies"), of("apps")), (4, 4, 4));
    for list in ["service_tokens", "access_policies", "access_apps"] {
        assert_eq!(cloud.list(list).len(), 4, "{list}");
    }
    let limit = &cloud.list("rulesets")[1]["rules"][0]["expression"];
    assert!(
        limit.as_str().is_some_and(|text| text.contains("http.host in {\"gpu.example.com\"}")),
        "{limit}"
    );
}

#[test]
fn only_what_a_run_has_to_do_with_is_asked_for() {
    let cloud = Cloud::new();
    cloud.oceanid(&["plan", "--only", "cloudflare", "tethys"]).exits(0);
    cloud.oceanid(&["plan", "--skip", "cloudflare"]).exits(3);
    assert_eq!(cloud.requests(), Vec::<serde_json::Value>::new());
    cloud.write_toml("");
    cloud.oceanid(&["plan", "--only", "cloudflare"]).exits(0);
    assert!(
        cloud
            .requests()
            .iter()
            .all(|one| !one["path"].as_str().expect("text").contains("rulesets"))
    );
    let text = fs::read_to_string(cloud.path("cluster.toml")).expect("there");
    let without = text.split("[cloudflare]").next().expect("a beginning");
    fs::write(cloud.path("cluster.toml"), without).expect("written");
    let said = cloud.oceanid(&["plan", "--only", "cloudflare"]).exits(64);
    assert_eq!(said.stderr, "error: there is no `[cloudflare]` in cluster.toml\n");
}

#[test]
fn a_command_gets_the_secret_and_one_that_fails_costs_a_secret() {
    let cloud = Cloud::new();
    let kept = cloud.path("kept");
    let store = |script: &str| format!("{{ command = [\"sh\", \"-c\", \"{script}\"] }}");
    cloud.write_toml_storing(&store("cat >&2; exit 3"));
    let failed = cloud.apply().exits(1);
    assert_snapshot!("not_stored", cloud.neutral(&failed.stderr));
    let lost = cloud.only("service_tokens");
    assert_eq!(lost["name"], "oceanid:ocean calls (secret not stored)");
    cloud.write_toml_storing(&store(&format!(
        "cat >{0}; printf %s $CF_ACCESS_CLIENT_ID >{0}.id",
        kept.display()
    )));
    let plan = cloud.oceanid(&["plan", "--only", "cloudflare"]).exits(0);
    assert!(plan.stdout.contains("its secret was never stored"), "{}", plan.stdout);
    cloud.apply().exits(0);
    let token = cloud.only("service_tokens");
    assert_eq!(token["name"], "oceanid:ocean calls");
    assert_ne!(token["client_secret"], lost["client_secret"]);
    assert_eq!(
        fs::read_to_string(&kept).expect("stored"),
        token["client_secret"].as_str().expect("text")
    );
    let id = fs::read_to_string(kept.with_extension("id")).expect("stored");
    assert_eq!(id, token["client_id"].as_str().expect("text"));
}
