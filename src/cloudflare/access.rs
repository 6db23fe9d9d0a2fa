//! Who may come in: a service token, a policy for it, and an application for each guarded name.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::api::Request;
use super::area::Area;
use super::deed::{Call, Deed, difference, differing};
use super::plan::Plan;
use super::seen::{Seen, ServiceToken};
use super::wanted::Wanted;
use crate::certificate::days;
use crate::cluster::{Gate, Store};

/// With fewer days left a service token is extended.
pub const SHORT: i64 = 30;
/// What a service token's name ends in until its secret is stored.
const NOT_STORED: &str = "(secret not stored)";
/// What will be known once something earlier was made.
const LATER: &str = "(known after apply)";

/// Adds what is to change.
pub fn plan(wanted: &Wanted<'_>, seen: &Seen, plan: &mut Plan) {
    let Some(gate) = wanted.gate() else { return };
    let token = find(wanted, seen, gate);
    service_token(wanted, seen, gate, plan);
    let policy = policy(wanted, seen, token, plan);
    for way in wanted.ways.iter().filter(|way| way.gated) {
        app(wanted, seen, &way.tunnel.hostname, policy.as_deref(), plan);
    }
}

/// The service token of `gate`, whether its secret is stored or not.
#[must_use]
pub fn find<'s>(wanted: &Wanted<'_>, seen: &'s Seen, gate: &Gate) -> Option<&'s ServiceToken> {
    let name = wanted.token_name(gate);
    let unstored = format!("{name} {NOT_STORED}");
    let all = || seen.service_tokens.iter();
    all().find(|one| one.name == name).or_else(|| all().find(|one| one.name == unstored))
}

fn service_token(wanted: &Wanted<'_>, seen: &Seen, gate: &Gate, plan: &mut Plan) {
    let area = Area::ServiceTokens;
    let path = format!("/accounts/{}/access/service_tokens", seen.account);
    let name = wanted.token_name(gate);
    let subject = format!("service token {name}");
    let named = json!({ "name": name, "duration": gate.duration });
    let post = |path: String, body: Option<Value>| Request::new(area, Method::POST, path, body);
    let mut push = |summary: String, diff: Option<String>, call: Call| {
        plan.deeds.push(Deed { subject: subject.clone(), summary, diff, area, call });
    };
    let place = place(&gate.store);
    let Some(token) = find(wanted, seen, gate) else {
        let unstored = format!("{name} {NOT_STORED}");
        let body = json!({ "name": unstored, "duration": gate.duration });
        let diff = Some(difference(&Value::Null, &named));
        let call = Call::Token { request: post(path, Some(body)), named };
        return push(format!("create, its secret goes to {place}"), diff, call);
    };
    let own = format!("{path}/{}", token.id);
    if token.name != name {
        let call = Call::Token { request: post(format!("{own}/rotate"), Some(json!({}))), named };
        let summary = format!("its secret was never stored: make a new one, which goes to {place}");
        return push(summary, None, call);
    }
    if token.duration != gate.duration {
        let diff = Some(difference(&json!({ "duration": token.duration, "name": name }), &named));
        let request = Request::new(area, Method::PUT, own, Some(named));
        return push(format!("good for {}", gate.duration), diff, Call::Send(request));
    }
    if let Some(end) = token.expires_at {
        let left = days(end.as_second() - seen.now.as_second());
        // A token that is made for less is extended by the run that sees it last.
        if left < SHORT.min(lasting(&gate.duration) / 2) {
            let call = Call::Send(post(format!("{own}/refresh"), Some(json!({}))));
            push(format!("ends in {left} days: extend, its secret stays"), None, call);
        }
    }
}

/// How long a duration is, days.
fn lasting(duration: &str) -> i64 {
    duration
        .strip_suffix('h')
        .and_then(|hours| hours.parse().ok())
        .map_or(i64::MAX, |hours: i64| hours / 24)
}

fn place(store: &Store) -> String {
    match store {
        Store::File(path) => format!("`{}`", path.display()),
        // Arguments may tell more than a plan should.
        Store::Command(words) => {
            format!("the command `{}`", words.first().map_or("", String::as_str))
        }
    }
}

/// Adds the policy's change, and returns its id where it has one.
fn policy(
    wanted: &Wanted<'_>,
    seen: &Seen,
    token: Option<&ServiceToken>,
    plan: &mut Plan,
) -> Option<String> {
    let name = wanted.policy_name();
    let subject = format!("Access policy {name}");
    let path = format!("/accounts/{}/access/policies", seen.account);
    let id = token.map_or(LATER, |token| token.id.as_str());
    // Service tokens pass no other decision; `bypass` would let everybody in.
    let body = json!({
        "name": name, "decision": "non_identity",
        "include": [{ "service_token": { "token_id": id } }], "exclude": [], "require": [],
    });
    let live = seen.policies.iter().find(|policy| policy.get("name") == Some(&json!(name)));
    let mut known = None;
    let deed = match live {
        None => Some(Deed::create(Area::Access, subject, &path, body)),
        Some(live) => {
            let own = live.get("id").and_then(Value::as_str)?.to_owned();
            known = Some(own.clone());
            changed(Area::Access, subject, live, body, &format!("{path}/{own}"))
        }
    };
    if let Some(mut deed) = deed {
        if token.is_none() {
            deed.call = Call::Later;
        }
        plan.deeds.push(deed);
    }
    known
}

/// A change of what is there, where it differs.
fn changed(area: Area, subject: String, live: &Value, body: Value, path: &str) -> Option<Deed> {
    let fields = differing(live, &body);
    if fields.is_empty() {
        return None;
    }
    let summary = format!("change {}", fields.join(", "));
    let diff = Some(difference(live, &body));
    let call = Call::Send(Request::new(area, Method::PUT, path, Some(body)));
    Some(Deed { subject, summary, diff, area, call })
}

fn app(wanted: &Wanted<'_>, seen: &Seen, hostname: &str, policy: Option<&str>, plan: &mut Plan) {
    let subject = format!("Access application {hostname}");
    let path = format!("/accounts/{}/access/apps", seen.account);
    let body = json!({
        "type": "self_hosted", "name": wanted.app_name(hostname), "domain": hostname,
        "destinations": [{ "type": "public", "uri": hostname }], "session_duration": "24h",
        "app_launcher_visible": false, "service_auth_401_redirect": true,
        "policies": [{ "id": policy.unwrap_or(LATER), "precedence": 1 }],
    });
    let mut own = None;
    for app in seen.apps.iter().filter(|app| covers(app, hostname)) {
        let name = app.get("name").and_then(Value::as_str).unwrap_or_default();
        let whole = app.get("domain").and_then(Value::as_str) == Some(hostname);
        if wanted.is_ours(name) && whole {
            own = Some(app);
        } else {
            plan.foreign.push(format!("application of Access `{name}`, which covers {hostname}"));
        }
    }
    let deed = match own {
        None => Some(Deed::create(Area::Access, subject, &path, body)),
        Some(app) => {
            let id = app.get("id").and_then(Value::as_str).unwrap_or_default();
            changed(Area::Access, subject, &comparable(app), body, &format!("{path}/{id}"))
        }
    };
    if let Some(mut deed) = deed {
        if policy.is_none() {
            deed.call = Call::Later;
        }
        plan.deeds.push(deed);
    }
}

/// Whether an application is for a name, or for a path below it.
fn covers(app: &Value, hostname: &str) -> bool {
    let destinations = app.get("destinations").and_then(Value::as_array).into_iter().flatten();
    let places = destinations.filter_map(|place| place.get("uri"));
    let mut all = places.chain(app.get("domain")).filter_map(Value::as_str);
    all.any(|place| place.split('/').next() == Some(hostname))
}

/// An application as it is sent: its policies by id alone.
fn comparable(app: &Value) -> Value {
    let mut fields: Map<String, Value> = app.as_object().cloned().unwrap_or_default();
    let policies = app.get("policies").and_then(Value::as_array).into_iter().flatten();
    let named = policies.map(|policy| {
        let field = |name| policy.get(name).cloned().unwrap_or_default();
        json!({ "id": field("id"), "precedence": field("precedence") })
    });
    fields.insert(String::from("policies"), named.collect());
    Value::Object(fields)
}
