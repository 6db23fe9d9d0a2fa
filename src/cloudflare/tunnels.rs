//! Tunnels: found by name, made where there is none; and the ingress of those that Cloudflare tells.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::api::Request;
use super::area::Area;
use super::deed::{Call, Deed, difference};
use super::plan::Plan;
use super::seen::{Seen, Tunnel};
use super::wanted::Wanted;
use super::way::Way;

/// Adds what is to change.
pub fn plan(wanted: &Wanted<'_>, seen: &Seen, plan: &mut Plan) {
    for way in &wanted.ways {
        let found = seen.tunnels.get(way.name());
        if let Some(why) = contrary(way, seen, found) {
            plan.contrary.push(why);
            continue;
        }
        if found.is_none() {
            plan.deeds.push(create(way, &seen.account));
        }
        plan.deeds.extend(ingress(way, seen, found));
    }
}

/// What cluster.toml says otherwise of a tunnel, and oceanid does not change.
fn contrary(way: &Way<'_>, seen: &Seen, found: Option<&Tunnel>) -> Option<String> {
    let name = way.name();
    if let Some(given) = way.given.as_ref().filter(|given| given.account != seen.account) {
        let account = &given.account;
        return Some(format!(
            "`{name}`: what opens it is of the account {account}, which has not the zone"
        ));
    }
    let Some(found) = found else {
        let given = way.given.as_ref()?;
        return Some(format!(
            "`{name}`: what opens it is for {}, which is not there any more",
            given.id
        ));
    };
    if way.tunnel.id.as_ref().is_some_and(|id| *id != found.id) {
        return Some(format!("`{name}`: its id is {}", found.id));
    }
    match (way.ingress().is_some(), found.config_src.as_str()) {
        (false, "cloudflare") => {
            Some(format!("`{name}`: its ingress is at Cloudflare, which is `managed = \"remote\"`"))
        }
        (true, "local") => {
            Some(format!("`{name}`: its ingress is on the node, which is `managed = \"local\"`"))
        }
        _ => None,
    }
}

fn create(way: &Way<'_>, account: &str) -> Deed {
    let area = Area::Tunnels;
    let remote = way.ingress().is_some();
    let body = json!({
        "name": way.name(), "config_src": if remote { "cloudflare" } else { "local" },
    });
    let diff = Some(difference(&Value::Null, &body));
    let path = format!("/accounts/{account}/cfd_tunnel");
    let request = Request::new(area, Method::POST, path, Some(body));
    let call = if remote { Call::Send(request) } else { Call::Tunnel(request) };
    let subject = format!("tunnel {}", way.name());
    Deed { subject, summary: String::from("create"), diff, area, call }
}

/// The ingress that Cloudflare tells, as a whole; what else it tells with it stays.
fn ingress(way: &Way<'_>, seen: &Seen, found: Option<&Tunnel>) -> Option<Deed> {
    let wanted = way.ingress()?;
    let subject = format!("ingress of tunnel {}", way.name());
    let mut config: Map<String, Value> =
        found.and_then(|found| found.config.as_object().cloned()).unwrap_or_default();
    let live = config.get("ingress").map(plain).unwrap_or_default();
    if live == wanted {
        return None;
    }
    let (verb, area) = (if live.is_null() { "create" } else { "change" }, Area::Tunnels);
    let diff = Some(lines(&live, &wanted));
    config.insert(String::from("ingress"), wanted);
    let call = found.map_or(Call::Later, |found| {
        let path = format!("/accounts/{}/cfd_tunnel/{}/configurations", seen.account, found.id);
        Call::Send(Request::new(area, Method::PUT, path, Some(json!({ "config": config }))))
    });
    Some(Deed { subject, summary: verb.to_owned(), diff, area, call })
}

/// Rules without what says nothing.
fn plain(rules: &Value) -> Value {
    let empty = |value: &Value| {
        value.is_null()
            || value.as_object().is_some_and(Map::is_empty)
            || value.as_str().is_some_and(str::is_empty)
    };
    let rules = rules.as_array().into_iter().flatten();
    rules
        .map(|rule| {
            let fields = rule.as_object().cloned().unwrap_or_default();
            Value::Object(fields.into_iter().filter(|(_, value)| !empty(value)).collect())
        })
        .collect()
}

/// One line a rule.
fn lines(live: &Value, wanted: &Value) -> String {
    let each = |rules: &Value, sign: char| {
        let rules = rules.as_array().cloned().unwrap_or_default();
        rules.into_iter().map(move |rule| format!("{sign}{rule}")).collect::<Vec<_>>()
    };
    let mut all = each(live, '-');
    all.extend(each(wanted, '+'));
    all.join("\n")
}
