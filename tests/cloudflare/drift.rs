//! What others changed is seen and mended; what is theirs stays.

use insta::assert_snapshot;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::cloud::{Cloud, account};

#[test]
fn drift_is_seen_and_mended() {
    let cloud = Cloud::new();
    cloud.apply().exits(0);
    let (record, app) = (cloud.only("dns"), cloud.only("access_apps"));
    let (policy, token) = (cloud.only("access_policies"), cloud.only("service_tokens"));
    let rulesets = cloud.list("rulesets");
    cloud.set(
        "dns",
        &record["id"],
        &json!({ "content": "192.0.2.9", "type": "A", "proxied": false }),
    );
    cloud.set(
        "access_policies",
        &policy["id"],
        &json!({ "decision": "bypass", "include": [{ "everyone": {} }] }),
    );
    let inline = json!([{ "id": "inline", "name": "all", "decision": "bypass", "precedence": 1 }]);
    cloud.set(
        "access_apps",
        &app["id"],
        &json!({ "policy_refs": inline, "service_auth_401_redirect": false }),
    );
    cloud.set("service_tokens", &token["id"], &json!({ "duration": "24h" }));
    let mut rules = rulesets[0]["rules"].clone();
    rules[0]["enabled"] = json!(false);
    rules.as_array_mut().expect("a list").pop();
    cloud.set("rulesets", &rulesets[0]["id"], &json!({ "rules": rules }));

    let seen = cloud.oceanid(&["verify", "--only", "cloudflare"]).exits(2);
    assert_snapshot!("drift", cloud.neutral(&seen.stdout));
    cloud.apply().exits(0);
    cloud.oceanid(&["verify", "--only", "cloudflare"]).exits(0);
    let policy = cloud.only("access_policies");
    assert_eq!(policy["decision"], "non_identity");
    assert_eq!(policy["include"], json!([{ "service_token": { "token_id": token["id"] } }]));
    assert_eq!(cloud.only("access_apps")["policies"].as_array().map(Vec::len), Some(1));
    assert_eq!(cloud.only("dns")["type"], "CNAME");
    assert_eq!(cloud.only("dns")["id"], record["id"], "the record was changed, not made anew");
    assert_eq!(cloud.only("service_tokens")["client_secret"], token["client_secret"]);
}

#[test]
fn what_was_deleted_comes_back() {
    let cloud = Cloud::new();
    cloud.apply().exits(0);
    for list in ["access_apps", "access_policies", "service_tokens", "tunnels", "dns", "rulesets"] {
        for one in cloud.list(list) {
            cloud.lab(
                "DELETE",
                &format!("{list}/{}", one["id"].as_str().expect("text")),
                &Value::Null,
            );
        }
    }
    cloud.apply().exits(0);
    cloud.oceanid(&["verify", "--only", "cloudflare"]).exits(0);
    // The former secret is beside the new one.
    assert!(cloud.path("secrets/service-token.old").exists());
}

/// Rules of somebody else's, as the API shows them.
fn foreign(reference: &str) -> Value {
    json!({
        "id": format!("id-{reference}"), "ref": reference, "version": "7", "action": "skip",
        "expression": "ip.src eq 192.0.2.7", "description": "theirs", "enabled": true,
        "action_parameters": { "ruleset": "current" }, "last_updated": "2026-01-01T00:00:00Z",
    })
}

#[test]
fn rules_of_others_stay_where_and_as_they_are() {
    let mut state = account();
    let theirs = [foreign("first"), foreign("second")];
    state["rulesets"] = json!([{
        "id": "set1", "zone_id": "zone1", "name": "default", "kind": "zone", "version": "3",
        "phase": "http_request_firewall_custom", "description": "", "rules": theirs,
    }]);
    let cloud = Cloud::of(&state);
    cloud.apply().exits(0);
    let rules = cloud.list("rulesets")[0]["rules"].clone();
    assert_eq!(rules.as_array().map(Vec::len), Some(4));
    assert_eq!([&rules[0], &rules[1]], [&theirs[0], &theirs[1]]);
    // Ours come between theirs, and are changed where they stand.
    let mixed = json!([rules[2], rules[0], rules[3], rules[1]]);
    cloud.set("rulesets", &json!("set1"), &json!({ "rules": mixed }));
    cloud.oceanid(&["verify", "--only", "cloudflare"]).exits(0);
    cloud.write_toml("waf = true\nblock-countries = [\"KP\"]\nrate-limit = { requests = 50 }\n");
    let plan = cloud.oceanid(&["plan", "--only", "cloudflare", "--diff"]).exits(0);
    assert_snapshot!("changed_rules", cloud.neutral(&plan.stdout));
    cloud.apply().exits(0);
    let after = cloud.list("rulesets")[0]["rules"].clone();
    assert_eq!([&after[1], &after[3]], [&theirs[0], &theirs[1]]);
    assert_eq!(after.as_array().map(Vec::len), Some(5));
}

#[test]
fn a_service_token_is_extended_before_it_ends_and_the_status_warns() {
    let cloud = Cloud::new();
    cloud.apply().exits(0);
    let well = cloud.oceanid(&["status"]);
    assert!(well.stdout.contains("(client id "), "{}", well.stdout);
    assert!(!well.stdout.contains("warning: service token"), "{}", well.stdout);
    let token = cloud.only("service_tokens");
    let soon = Timestamp::now() + SignedDuration::from_hours(12 * 24 + 1);
    cloud.set("service_tokens", &token["id"], &json!({ "expires_at": soon.to_string() }));
    let status = cloud.oceanid(&["status"]);
    let client = token["client_id"].as_str().expect("text");
    let said = status.stdout.replace(client, "CLIENT").replace('\n', " ").replace("    ", "");
    assert!(
        said.contains(
            "warning: service token `oceanid:ocean calls` (client id CLIENT) ends in 12 d"
        ),
        "{said}"
    );
    assert!(said.contains("1 change pending"), "{said}");
    let json = cloud.oceanid(&["status", "--json"]).stdout;
    assert!(json.contains(r#""days-left":12"#), "{json}");
    cloud.apply().exits(0);
    assert_eq!(cloud.only("service_tokens")["client_secret"], token["client_secret"]);
    cloud.oceanid(&["verify", "--only", "cloudflare"]).exits(0);
}
