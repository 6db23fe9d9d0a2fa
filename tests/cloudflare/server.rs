//! The lab's API enforces what is known of the real one: otherwise the other tests prove little.

use serde_json::{Value, json};

use crate::cloud::{ACCOUNT, Cloud};

/// The code of an error, or 0.
fn code((_, answer): &(u16, Value)) -> u64 {
    answer["errors"][0]["code"].as_u64().unwrap_or_default()
}

fn id(answer: &(u16, Value)) -> String {
    assert_eq!(answer.0, 200, "{}", answer.1);
    answer.1["result"]["id"].as_str().expect("an id").to_owned()
}

#[test]
fn tunnels_are_as_they_are_at_cloudflare() {
    let cloud = Cloud::new();
    let base = format!("accounts/{ACCOUNT}/cfd_tunnel");
    let remote = json!({ "name": "one", "config_src": "cloudflare" });
    assert_eq!(cloud.ask("POST", &base, &json!({ "name": "one", "secret": "x" })).0, 400);
    assert_eq!(cloud.ask("POST", &base, &json!({ "name": "one", "config_src": "local" })).0, 400);
    let first = id(&cloud.ask("POST", &base, &remote));
    assert_eq!(code(&cloud.ask("POST", &base, &remote)), 1013);
    let token = cloud.ask("GET", &format!("{base}/{first}/token"), &Value::Null).1;
    assert!(token["result"].is_string(), "{token}");
    cloud.set("tunnels", &json!(first), &json!({ "connections": [{ "id": "c" }] }));
    assert_eq!(code(&cloud.ask("DELETE", &format!("{base}/{first}"), &Value::Null)), 1022);
    cloud.ask("DELETE", &format!("{base}/{first}/connections"), &Value::Null);
    id(&cloud.ask("DELETE", &format!("{base}/{first}"), &Value::Null));
    let second = id(&cloud.ask("POST", &base, &remote));
    let list = |query: &str| cloud.ask("GET", &format!("{base}?{query}"), &Value::Null).1;
    assert_eq!(list("name=one")["result"].as_array().map(Vec::len), Some(2));
    assert_eq!(list("name=one&is_deleted=false")["result"][0]["id"], json!(second));
    let config = |ingress: Value| {
        let body = json!({ "config": { "ingress": ingress } });
        cloud.ask("PUT", &format!("{base}/{second}/configurations"), &body).0
    };
    let rule = json!({ "hostname": "a.example.com", "service": "http://127.0.0.1:1" });
    let late = json!({ "service": "http_status:404" });
    assert_eq!(config(json!([rule])), 400, "without a last rule");
    assert_eq!(config(json!([late, rule, late])), 400, "a rule that nothing gets to");
    assert_eq!(config(json!([rule, late])), 200);
}

#[test]
fn names_are_as_they_are_at_cloudflare() {
    let cloud = Cloud::new();
    let base = "zones/zone1/dns_records";
    let record = |kind: &str, content: &str| json!({ "type": kind, "name": "a.example.com", "content": content, "ttl": 1 });
    id(&cloud.ask("POST", base, &record("A", "192.0.2.1")));
    assert_eq!(code(&cloud.ask("POST", base, &record("CNAME", "b.example.com"))), 81_053);
    assert_eq!(code(&cloud.ask("POST", base, &record("A", "192.0.2.1"))), 81_058);
    let mut other = record("A", "192.0.2.1");
    other["name"] = json!("a.example.net");
    assert_eq!(cloud.ask("POST", base, &other).0, 400);
    other["proxy"] = json!(true);
    assert_eq!(code(&cloud.ask("POST", base, &other)), 1001);
    let count = |query: &str| {
        let (status, answer) = cloud.ask("GET", &format!("{base}?{query}"), &Value::Null);
        (status, answer["result"].as_array().map_or(0, Vec::len))
    };
    assert_eq!(count("name.exact=a.example.com"), (200, 1));
    assert_eq!(count("name.exact=b.example.com"), (200, 0));
    assert_eq!(count("name_exact=a.example.com").0, 400);
}

#[test]
fn access_is_as_it_is_at_cloudflare() {
    let cloud = Cloud::new();
    let base = format!("accounts/{ACCOUNT}/access");
    let tokens = format!("{base}/service_tokens");
    let made = cloud.ask("POST", &tokens, &json!({ "name": "t", "duration": "24h" }));
    let token = id(&made);
    assert!(made.1["result"]["client_secret"].is_string());
    let shown = cloud.ask("GET", &tokens, &Value::Null).1;
    assert!(shown["result"][0].get("client_secret").is_none(), "{shown}");
    let policy = |decision: &str, id: &str| json!({ "name": "p", "decision": decision, "include": [{ "service_token": { "token_id": id } }] });
    let policies = format!("{base}/policies");
    assert_eq!(cloud.ask("POST", &policies, &policy("service_auth", &token)).0, 400);
    assert_eq!(cloud.ask("POST", &policies, &policy("non_identity", "another")).0, 400);
    let kept = id(&cloud.ask("POST", &policies, &policy("non_identity", &token)));
    let app = |domain: &str, policies: Value| json!({ "type": "self_hosted", "name": "a", "domain": domain, "policies": policies });
    let apps = format!("{base}/apps");
    let inline = policy("non_identity", &token);
    assert_eq!(cloud.ask("POST", &apps, &app("a.example.com", json!([kept, inline]))).0, 400);
    assert_eq!(cloud.ask("POST", &apps, &app("a.example.net", json!([kept]))).0, 400);
    let made = id(&cloud.ask("POST", &apps, &app("a.example.com", json!([kept]))));
    assert_eq!(code(&cloud.ask("POST", &apps, &app("a.example.com", json!([])))), 11_010);
    assert_eq!(cloud.ask("DELETE", &format!("{policies}/{kept}"), &Value::Null).0, 409);
    assert_eq!(cloud.ask("DELETE", &format!("{tokens}/{token}"), &Value::Null).0, 409);
    id(&cloud.ask("DELETE", &format!("{apps}/{made}"), &Value::Null));
    id(&cloud.ask("DELETE", &format!("{policies}/{kept}"), &Value::Null));
    id(&cloud.ask("DELETE", &format!("{tokens}/{token}"), &Value::Null));
}

#[test]
fn rules_are_as_they_are_at_cloudflare() {
    let cloud = Cloud::new();
    let phase = "zones/zone1/rulesets/phases/http_ratelimit/entrypoint";
    assert_eq!(code(&cloud.ask("GET", phase, &Value::Null)), 10_003);
    let rule = |expression: &str, period: u64, counted: Value| {
        json!({ "rules": [{ "action": "block", "expression": expression, "ratelimit": {
            "characteristics": counted, "period": period, "requests_per_period": 5,
            "mitigation_timeout": 10 } }] })
    };
    let counted = || json!(["cf.colo.id", "ip.src"]);
    for (expression, period, counted) in [
        ("http.host eq \"a.example.com\"", 10, counted()),
        ("true", 60, counted()),
        ("true", 10, json!(["ip.src"])),
    ] {
        let refused = cloud.ask("PUT", phase, &rule(expression, period, counted));
        assert_eq!(code(&refused), 20_127, "{refused:?}");
    }
    let ruleset = id(&cloud.ask("PUT", phase, &rule("true", 10, counted())));
    let mut shown = rule("true", 10, counted());
    shown["rules"][0]["version"] = json!("1");
    assert_eq!(code(&cloud.ask("PUT", phase, &shown)), 1001, "what only the API sets");
    let second = rule("false", 10, counted())["rules"][0].clone();
    let refused = cloud.ask("POST", &format!("zones/zone1/rulesets/{ruleset}/rules"), &second);
    assert_eq!(code(&refused), 20_217, "the free plan has one");
    id(&cloud.ask("PUT", phase, &json!({ "rules": [] })));
    assert_eq!(cloud.only("rulesets")["rules"], json!([]), "a list replaces the list");
}
