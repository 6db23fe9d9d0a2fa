//! Requests that fail, and runs that end in the middle.

use std::time::{Duration, Instant};

use insta::assert_snapshot;
use serde_json::json;

use crate::cloud::Cloud;

/// One of each thing, whatever went wrong on the way.
fn is_whole(cloud: &Cloud) {
    for list in ["tunnels", "dns", "access_apps", "access_policies", "service_tokens"] {
        assert_eq!(cloud.list(list).len(), 1, "{list}: {:#?}", cloud.list(list));
    }
    assert_eq!(cloud.list("rulesets").len(), 2);
    cloud.oceanid(&["verify", "--only", "cloudflare"]).exits(0);
    let secret = std::fs::read_to_string(cloud.secret_file()).expect("stored");
    assert_eq!(secret.trim_end(), cloud.only("service_tokens")["client_secret"]);
}

#[test]
fn a_run_that_ended_anywhere_is_taken_up_by_the_next() {
    let whole = Cloud::new();
    whole.apply().exits(0);
    let writes: Vec<(String, String)> = whole
        .requests()
        .iter()
        .filter(|one| one["method"] != "GET")
        .map(|one| {
            (
                one["method"].as_str().expect("text").to_owned(),
                one["path"].as_str().expect("text").to_owned(),
            )
        })
        .collect();
    assert_eq!(writes.len(), 7);
    for (method, path) in writes {
        for after in [false, true] {
            let cloud = Cloud::new();
            // The id of the service token is another each time.
            let path = path.split("/service_tokens/").next().expect("a beginning");
            cloud.fail(&json!([
                { "method": method, "path": path, "status": 500, "times": 4, "after": after },
            ]));
            let failed = cloud.apply().exits(1);
            assert!(failed.stderr.contains("code 10013: Internal error"), "{}", failed.stderr);
            cloud.fail(&json!([]));
            cloud.apply().exits(0);
            is_whole(&cloud);
        }
    }
}

#[test]
fn answers_that_say_nothing_are_asked_for_again() {
    let cloud = Cloud::new();
    cloud.fail(&json!([
        { "method": "GET", "path": "zones", "status": 502, "times": 2 },
        { "method": "PUT", "path": "rulesets", "status": 500, "times": 1 },
        { "method": "POST", "path": "cfd_tunnel", "status": 429, "times": 2, "retry-after": 1 },
    ]));
    let begun = Instant::now();
    let done = cloud.apply().exits(0);
    assert!(begun.elapsed() > Duration::from_secs(2), "it did not wait");
    assert!(
        done.stderr.contains("Cloudflare asks to wait 1 s: too many requests"),
        "{}",
        done.stderr
    );
    is_whole(&cloud);
}

#[test]
fn what_does_not_end_is_told() {
    let cloud = Cloud::new();
    let run = |faults: serde_json::Value| {
        cloud.fail(&faults);
        let failed = cloud.oceanid(&["plan", "--only", "cloudflare"]).exits(1);
        cloud.neutral(&failed.stderr)
    };
    let throttled = run(json!([{ "path": "cfd_tunnel", "status": 429, "retry-after": 900 }]));
    let broken = run(json!([{ "path": "dns_records", "status": 503, "times": 9 }]));
    assert_eq!(cloud.writes(), Vec::<String>::new());
    let seconds = |text: &str| {
        text.lines().filter(|line| !line.starts_with("1 host")).collect::<Vec<_>>().join("\n")
    };
    assert_snapshot!("throttled", seconds(&throttled));
    assert_snapshot!("broken", seconds(&broken));
}
