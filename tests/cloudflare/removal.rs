//! What oceanid made is taken away when it is asked to, and nothing else.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::cloud::{Cloud, account};

#[test]
fn what_carries_our_mark_goes_and_what_does_not_stays() {
    let mut state = account();
    state["dns"] = json!([{ "id": "theirs", "zone_id": "zone1", "type": "A", "name": "example.com",
        "content": "192.0.2.7", "proxied": true, "ttl": 1, "comment": "oceanid:ocean-two" }]);
    state["service_tokens"] =
        json!([{ "id": "theirs", "name": "oceanid:ocean-two calls", "duration": "8760h" }]);
    state["rulesets"] = json!([{ "id": "set1", "zone_id": "zone1", "phase": "http_request_firewall_custom",
        "kind": "zone", "version": "1", "rules": [{ "id": "r", "ref": "theirs", "action": "block" }] }]);
    let cloud = Cloud::of(&state);
    cloud.apply().exits(0);
    let tunnel = cloud.only("tunnels");
    cloud.set("tunnels", &tunnel["id"], &json!({ "connections": [{ "id": "c1" }] }));
    let asked = cloud.oceanid(&["remove", "cloudflare"]).exits(64);
    assert!(asked.stderr.contains("`--yes` answers it"), "{}", asked.stderr);
    assert_eq!(cloud.list("dns").len(), 2, "nothing goes without an answer");

    let before = cloud.writes().len();
    let gone = cloud.oceanid(&["remove", "cloudflare", "--yes"]).exits(0);
    assert_snapshot!("removed", cloud.neutral(&gone.stdout));
    assert!(!cloud.only("tunnels")["deleted_at"].is_null());
    assert_eq!(cloud.only("dns"), state["dns"][0]);
    assert_eq!(cloud.only("service_tokens"), state["service_tokens"][0]);
    assert_eq!(cloud.list("rulesets")[0]["rules"], state["rulesets"][0]["rules"]);
    for list in ["access_apps", "access_policies"] {
        assert_eq!(cloud.list(list), Vec::<Value>::new());
    }
    let first: Vec<String> = cloud.writes().split_off(before);
    assert!(
        first[0].ends_with("/connections") && first[1].starts_with("DELETE accounts"),
        "{first:#?}"
    );

    let count = cloud.writes().len();
    cloud.oceanid(&["remove", "cloudflare", "--yes"]).exits(0);
    assert_eq!(cloud.writes().len(), count, "a second time there is nothing to do");
    cloud.apply().exits(0);
    cloud.oceanid(&["verify", "--only", "cloudflare"]).exits(0);
}

#[test]
fn what_cluster_toml_no_longer_names_is_told_of_and_goes_by_itself() {
    let cloud = Cloud::new();
    let second = "[[tunnel]]\nhostname = \"app.example.com\"\nnode = \"tethys\"\n";
    cloud.write_toml_with_tunnels(second, "waf = true\n");
    cloud.apply().exits(0);
    assert_eq!(cloud.list("tunnels").len(), 2);
    assert_eq!(cloud.list("access_apps").len(), 1, "only nodes with a GPU are guarded");
    cloud.write_toml("rate-limit = { requests = 100 }\n");
    let plan = cloud.oceanid(&["plan", "--only", "cloudflare"]).exits(0);
    assert_snapshot!("leftovers", cloud.neutral(&plan.stdout));
    cloud.apply().exits(0);
    assert_eq!(cloud.list("dns").len(), 2, "a run takes nothing away");
    cloud.oceanid(&["remove", "cloudflare", "--leftovers", "--yes"]).exits(0);
    assert_eq!(cloud.only("dns")["name"], "gpu.example.com");
    let left: Vec<Value> =
        cloud.list("tunnels").into_iter().filter(|one| one["deleted_at"].is_null()).collect();
    assert_eq!(left.len(), 1);
    cloud.oceanid(&["verify", "--only", "cloudflare"]).exits(0);
}

#[test]
fn a_tunnel_that_no_record_of_ours_leads_to_stays() {
    let cloud = Cloud::new();
    cloud.apply().exits(0);
    let record = cloud.only("dns");
    cloud.lab("DELETE", &format!("dns/{}", record["id"].as_str().expect("text")), &Value::Null);
    let said = cloud.oceanid(&["remove", "cloudflare", "--yes"]).exits(0);
    assert!(said.stdout.contains("the tunnel `ocean-calypso` stays"), "{}", said.stdout);
    assert!(cloud.only("tunnels")["deleted_at"].is_null());
}
