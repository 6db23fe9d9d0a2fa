//! Access: applications, and the policies that several of them may use.

use super::Request;
use super::fields::{self, Field, Kind, Need};
use super::pages;
use super::reply::{Outcome, Refusal};
use super::rules;
use super::state::{State, copy, uuid};
use crate::clock;
use serde_json::{Map, Value, json};

const SETTABLE: [&str; 8] = [
    "type",
    "name",
    "domain",
    "destinations",
    "session_duration",
    "app_launcher_visible",
    "service_auth_401_redirect",
    "allowed_idps",
];

/// Answers what is below `access`, service tokens apart.
pub fn route(state: &mut State, request: &Request, rest: &[&str]) -> Outcome {
    match (request.method.as_str(), rest) {
        ("GET", ["apps"]) => {
            fields::query(request, &["name", "domain", "aud", "search", "page", "per_page"])?;
            let all = state.list("access_apps").clone();
            pages::of(state, request, all.iter().map(shown).collect())
        }
        ("POST", ["apps"]) => {
            let app = app(state, request, Map::from_iter([("id".to_owned(), json!(uuid()))]))?;
            keep(state, app)
        }
        ("GET", ["apps", id]) => Ok(shown(state.find("access_apps", id)?).into()),
        ("PUT", ["apps", id]) => {
            let old = state.find("access_apps", id)?;
            let mut begun = Map::new();
            copy(old, &["id", "aud", "created_at"], &mut begun);
            let app = app(state, request, begun)?;
            keep(state, app)
        }
        ("DELETE", ["apps", id]) => Ok(state.remove("access_apps", id)?.into()),
        (_, ["policies", rest @ ..]) => policies(state, request, rest),
        _ => Err(Refusal::no_route()),
    }
}

fn shown(app: &Value) -> Value {
    let mut shown = app.clone();
    shown.as_object_mut().map(|table| table.remove("policy_refs"));
    shown
}

fn invalid(text: &str) -> Refusal {
    Refusal::new(400, 12130, format!("access.api.error.invalid_request: {text}"))
}

fn app(state: &State, request: &Request, begun: Map<String, Value>) -> Result<Value, Refusal> {
    let body = &request.body;
    fields::body(
        body,
        &[
            Field("type", Kind::Text, Need::Required),
            Field("name", Kind::Text, Need::Optional),
            Field("domain", Kind::Text, Need::Required),
            Field("destinations", Kind::List, Need::Optional),
            Field("session_duration", Kind::Text, Need::Optional),
            Field("app_launcher_visible", Kind::Switch, Need::Optional),
            Field("service_auth_401_redirect", Kind::Switch, Need::Optional),
            Field("allowed_idps", Kind::List, Need::Optional),
            Field("policies", Kind::List, Need::Optional),
        ],
    )?;
    let domain = body["domain"].as_str().unwrap_or_default();
    let host = domain.split('/').next().unwrap_or_default();
    let inside = |zone: &Value| {
        let zone = zone["name"].as_str().unwrap_or_default();
        host == zone || host.ends_with(&format!(".{zone}"))
    };
    if !state.list("zones").iter().any(inside) {
        return Err(invalid("domain does not belong to zone"));
    }
    for place in body["destinations"].as_array().into_iter().flatten() {
        fields::body(
            place,
            &[Field("type", Kind::Text, Need::Required), Field("uri", Kind::Text, Need::Required)],
        )?;
    }
    let id = begun.get("id").cloned().unwrap_or_default();
    let same = |one: &Value| one["domain"] == domain && one["id"] != id;
    if state.list("access_apps").iter().any(same) {
        let text = "access.api.error.application_already_exists";
        return Err(Refusal::new(409, 11010, text));
    }
    let mut app = Map::from_iter([
        ("aud".to_owned(), json!(crate::k3s::random_hex(32))),
        ("created_at".to_owned(), json!(clock::now())),
        ("session_duration".to_owned(), json!("24h")),
        ("app_launcher_visible".to_owned(), json!(true)),
        ("service_auth_401_redirect".to_owned(), json!(false)),
    ]);
    app.extend(begun);
    copy(body, &SETTABLE, &mut app);
    app.insert("policy_refs".to_owned(), refs(state, &body["policies"])?);
    app.insert("updated_at".to_owned(), json!(clock::now()));
    Ok(Value::Object(app))
}

/// Reusable policies by id, or inline ones: never both.
fn refs(state: &State, policies: &Value) -> Result<Value, Refusal> {
    let mut refs = Vec::new();
    let mut kinds = [false, false];
    for (index, one) in policies.as_array().into_iter().flatten().enumerate() {
        let named =
            one.as_str().or_else(|| one["id"].as_str().filter(|_| one.get("include").is_none()));
        let precedence = one["precedence"].as_u64().unwrap_or(index as u64 + 1);
        if let Some(id) = named {
            let known = state.list("access_policies").iter().any(|policy| policy["id"] == id);
            if !known {
                return Err(invalid("the policy does not exist"));
            }
            if let Value::Object(_) = one {
                let fields = [
                    Field("id", Kind::Text, Need::Required),
                    Field("precedence", Kind::Number, Need::Optional),
                ];
                fields::body(one, &fields)?;
            }
            refs.push(json!({ "id": id, "precedence": precedence }));
        } else {
            let mut inline = rules::policy(state, one, rules::Place::Inline)?;
            inline["id"] = json!(uuid());
            inline["precedence"] = json!(precedence);
            refs.push(inline);
        }
        kinds[usize::from(named.is_some())] = true;
    }
    if kinds == [true, true] {
        return Err(invalid("reusable and inline policies exclude each other"));
    }
    let mut used: Vec<_> = refs.iter().map(|one| one["precedence"].to_string()).collect();
    used.sort();
    used.dedup();
    if used.len() != refs.len() {
        return Err(invalid("policy precedences must be unique"));
    }
    Ok(Value::Array(refs))
}

fn keep(state: &mut State, app: Value) -> Outcome {
    let list = state.list_mut("access_apps");
    let id = app["id"].clone();
    match list.iter_mut().find(|one| one["id"] == id) {
        Some(kept) => *kept = app,
        None => list.push(app),
    }
    state.expand();
    Ok(shown(state.find("access_apps", id.as_str().unwrap_or_default())?).into())
}

fn policies(state: &mut State, request: &Request, rest: &[&str]) -> Outcome {
    match (request.method.as_str(), rest) {
        ("GET", []) => {
            fields::query(request, &["page", "per_page"])?;
            pages::of(state, request, state.list("access_policies").clone())
        }
        ("POST", []) => {
            let mut policy = rules::policy(state, &request.body, rules::Place::Reusable)?;
            policy["id"] = json!(uuid());
            policy["created_at"] = json!(clock::now());
            state.list_mut("access_policies").push(policy.clone());
            Ok(policy.into())
        }
        ("GET", [id]) => Ok(state.find("access_policies", id)?.clone().into()),
        ("PUT", [id]) => {
            let mut policy = rules::policy(state, &request.body, rules::Place::Reusable)?;
            let kept = state.find_mut("access_policies", id)?;
            policy["id"] = kept["id"].clone();
            policy["created_at"] = kept["created_at"].clone();
            *kept = policy.clone();
            Ok(policy.into())
        }
        ("DELETE", [id]) => {
            let uses = |app: &Value| {
                app["policy_refs"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|one| one["id"] == *id))
            };
            if state.list("access_apps").iter().any(uses) {
                let text = "access.api.error.conflict: the policy is used by an application";
                return Err(Refusal::new(409, 12132, text));
            }
            Ok(state.remove("access_policies", id)?.into())
        }
        _ => Err(Refusal::no_route()),
    }
}
