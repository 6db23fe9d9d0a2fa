//! Tunnels whose ingress Cloudflare tells, that others made, or that several names lead to.

use std::fs;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::cloud::{ACCOUNT, Cloud};

const NODE: &str = "node = \"calypso\"\n";

#[test]
fn ingress_that_cloudflare_tells_is_kept_in_order() {
    let cloud = Cloud::new();
    let ingress = "[[tunnel.ingress]]\nhostname = \"app.example.com\"\npath = \"^/v2/\"\n\
                   service = \"https://127.0.0.1:8443\"\n\
                   origin = { connect-seconds = 5, no-tls-verify = true }\n";
    cloud.replace(NODE, &format!("{NODE}managed = \"remote\"\n{ingress}"));
    let plan = cloud.oceanid(&["plan", "--only", "cloudflare", "--diff"]).exits(0);
    assert!(
        plan.stdout.contains("ingress of tunnel ocean-calypso: create (known after apply)"),
        "{}",
        plan.stdout
    );
    cloud.apply().exits(0);
    cloud.oceanid(&["verify", "--only", "cloudflare"]).exits(0);
    let tunnel = cloud.only("tunnels");
    assert_eq!(tunnel["config_src"], "cloudflare");
    let kept = json!([
        { "hostname": "app.example.com", "service": "https://127.0.0.1:8443", "path": "^/v2/",
          "originRequest": { "connectTimeout": 5, "noTLSVerify": true } },
        { "hostname": "gpu.example.com", "service": "http://127.0.0.1:8000" },
        { "service": "http_status:404" },
    ]);
    assert_eq!(tunnel["config"]["ingress"], kept);
    let names: Vec<Value> = cloud.list("dns").iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["gpu.example.com", "app.example.com"]);
    assert_eq!(cloud.list("access_apps").len(), 2, "every name of a node with a GPU is guarded");

    // What Cloudflare fills in is no difference, what somebody changed is, and what else it keeps stays.
    let mut filled = kept.clone();
    filled[1]["originRequest"] = json!({});
    let config = json!({ "ingress": filled, "warp-routing": { "enabled": true } });
    cloud.set("tunnels", &tunnel["id"], &json!({ "config": config }));
    cloud.oceanid(&["verify", "--only", "cloudflare"]).exits(0);
    filled[1]["service"] = json!("http://192.0.2.1:80");
    cloud.set(
        "tunnels",
        &tunnel["id"],
        &json!({ "config": { "ingress": filled, "warp-routing": { "enabled": true } } }),
    );
    let drift = cloud.oceanid(&["plan", "--only", "cloudflare", "--diff"]).exits(0);
    assert_snapshot!("ingress", cloud.neutral(&drift.stdout));
    cloud.apply().exits(0);
    let config = &cloud.only("tunnels")["config"];
    assert_eq!((&config["ingress"], &config["warp-routing"]["enabled"]), (&kept, &json!(true)));
}

#[test]
fn ingress_is_told_by_one_side_alone() {
    let cloud = Cloud::new();
    cloud.replace(NODE, &format!("{NODE}managed = \"remote\"\n"));
    cloud.apply().exits(0);
    cloud.replace("managed = \"remote\"\n", "");
    let refused = cloud.oceanid(&["plan", "--only", "cloudflare"]).exits(1);
    assert!(
        refused.stderr.contains("`ocean-calypso`: its ingress is at Cloudflare"),
        "{}",
        refused.stderr
    );
}

/// A tunnel that somebody made, and its token in a file.
fn given(cloud: &Cloud) -> String {
    let base = format!("accounts/{ACCOUNT}/cfd_tunnel");
    let secret = "c2l4dGVlbiBieXRlcyBhcmUgdG9vIGZldyBoZXJlISE=";
    let body = json!({ "name": "by hand", "config_src": "local", "tunnel_secret": secret });
    let (status, made) = cloud.ask("POST", &base, &body);
    assert_eq!(status, 200, "{made}");
    let id = made["result"]["id"].as_str().expect("an id").to_owned();
    let (_, token) = cloud.ask("GET", &format!("{base}/{id}/token"), &Value::Null);
    fs::write(cloud.path("token"), token["result"].as_str().expect("text")).expect("written");
    let place = format!("token = {{ file = \"{}\" }}\n", cloud.path("token").display());
    cloud.replace(NODE, &format!("{NODE}{place}"));
    id
}

#[test]
fn a_tunnel_that_somebody_made_is_led_to_and_never_removed() {
    let cloud = Cloud::new();
    let id = given(&cloud);
    let before = cloud.writes().len();
    cloud.apply().exits(0);
    let made = cloud.writes().split_off(before);
    assert!(made.iter().all(|one| !one.contains("cfd_tunnel")), "{made:#?}");
    assert_eq!(cloud.only("dns")["content"], format!("{id}.cfargotunnel.com"));
    cloud.oceanid(&["verify", "--only", "cloudflare"]).exits(0);
    let gone = cloud.oceanid(&["remove", "cloudflare", "--yes"]).exits(0);
    assert!(gone.stdout.contains("stays: cluster.toml has its credentials"), "{}", gone.stdout);
    assert_eq!(cloud.list("dns"), Vec::<Value>::new());
    assert!(cloud.only("tunnels")["deleted_at"].is_null());

    cloud.set("tunnels", &json!(id), &json!({ "deleted_at": "2026-11-01T00:00:00Z" }));
    let refused = cloud.oceanid(&["plan", "--only", "cloudflare"]).exits(1);
    let at = refused.stderr.find("error:").expect("an error");
    let lines = refused.stderr[at..].lines().filter(|line| !line.starts_with("1 host: "));
    assert_snapshot!("gone", cloud.neutral(&lines.collect::<Vec<_>>().join("\n")));
}
