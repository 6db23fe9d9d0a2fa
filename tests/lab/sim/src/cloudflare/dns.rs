//! DNS records: filters have dots, and a name is one host's.

use super::Request;
use super::fields::{self, Field, Kind, Need};
use super::pages;
use super::reply::{Outcome, Refusal};
use super::state::{State, copy, id};
use crate::clock;
use serde_json::{Map, Value, json};

const QUERY: [&str; 10] = [
    "type",
    "name",
    "name.exact",
    "content.exact",
    "comment.exact",
    "comment.startswith",
    "comment.present",
    "match",
    "page",
    "per_page",
];

const SETTABLE: [&str; 7] = ["type", "name", "content", "proxied", "ttl", "comment", "tags"];

/// Answers what is below `dns_records`.
pub fn route(state: &mut State, request: &Request, zone: &str, rest: &[&str]) -> Outcome {
    let name = state.zone(zone)?["name"].as_str().unwrap_or_default().to_owned();
    match (request.method.as_str(), rest) {
        ("GET", []) => list(state, request, zone),
        ("POST", []) => {
            whole(&request.body)?;
            let mut record = Map::from_iter([
                ("id".to_owned(), json!(id())),
                ("zone_id".to_owned(), json!(zone)),
                ("proxied".to_owned(), json!(false)),
                ("comment".to_owned(), Value::Null),
                ("tags".to_owned(), json!([])),
            ]);
            copy(&request.body, &SETTABLE, &mut record);
            keep(state, Value::Object(record), &name)
        }
        ("GET", [record]) => Ok(state.find("dns", record)?.clone().into()),
        ("PUT" | "PATCH", [record]) => {
            if request.method == "PUT" {
                whole(&request.body)?;
            } else {
                fields::body(&request.body, &of(Need::Optional))?;
            }
            let mut changed = state.find("dns", record)?.as_object().cloned().unwrap_or_default();
            copy(&request.body, &SETTABLE, &mut changed);
            keep(state, Value::Object(changed), &name)
        }
        ("DELETE", [record]) => Ok(state.remove("dns", record)?.into()),
        _ => Err(Refusal::no_route()),
    }
}

fn of(need: Need) -> [Field; 7] {
    [
        Field("type", Kind::Text, need),
        Field("name", Kind::Text, need),
        Field("content", Kind::Text, need),
        Field("ttl", Kind::Number, need),
        Field("proxied", Kind::Switch, Need::Optional),
        Field("comment", Kind::Text, Need::Optional),
        Field("tags", Kind::List, Need::Optional),
    ]
}

fn whole(body: &Value) -> Result<(), Refusal> {
    fields::body(body, &of(Need::Required))
}

fn list(state: &State, request: &Request, zone: &str) -> Outcome {
    fields::query(request, &QUERY)?;
    let fits = |record: &&Value| {
        let comment = record["comment"].as_str().unwrap_or_default();
        record["zone_id"] == zone
            && request.query.iter().all(|(name, wanted)| match name.as_str() {
                "type" => record["type"] == *wanted,
                "name" | "name.exact" => record["name"] == *wanted,
                "content.exact" => record["content"] == *wanted,
                "comment.exact" => comment == wanted,
                "comment.startswith" => comment.starts_with(wanted.as_str()),
                _ => true,
            })
    };
    pages::of(state, request, state.list("dns").iter().filter(fits).cloned().collect())
}

/// Keeps a record that is right and in nobody's way.
fn keep(state: &mut State, mut record: Value, zone: &str) -> Outcome {
    let name = record["name"].as_str().unwrap_or_default();
    if name != zone && !name.ends_with(&format!(".{zone}")) {
        return Err(Refusal::new(400, 9000, "DNS name is invalid.").at("/name"));
    }
    let ttl = record["ttl"].as_u64().unwrap_or_default();
    if ttl != 1 && !(60..=86400).contains(&ttl) {
        return Err(Refusal::new(
            400,
            9021,
            "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.",
        ));
    }
    if record["comment"].as_str().is_some_and(|comment| comment.chars().count() > 100) {
        return Err(Refusal::new(400, 9300, "DNS record comment is too long."));
    }
    let is_host = |one: &Value| ["A", "AAAA", "CNAME"].iter().any(|kind| one["type"] == *kind);
    for other in state.list("dns") {
        if other["id"] == record["id"] || other["name"] != record["name"] {
            continue;
        }
        if other["type"] == record["type"] && other["content"] == record["content"] {
            return Err(Refusal::new(400, 81058, "An identical record already exists."));
        }
        let alias = other["type"] == "CNAME" || record["type"] == "CNAME";
        if alias && is_host(other) && is_host(&record) {
            let text = "An A, AAAA, or CNAME record with that host already exists.";
            return Err(Refusal::new(400, 81053, text));
        }
    }
    record["modified_on"] = json!(clock::now_micro());
    let list = state.list_mut("dns");
    match list.iter_mut().find(|one| one["id"] == record["id"]) {
        Some(kept) => *kept = record.clone(),
        None => list.push(record.clone()),
    }
    Ok(record.into())
}
