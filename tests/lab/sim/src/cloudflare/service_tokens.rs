//! Service tokens of Access: the secret is shown once.

use super::Request;
use super::fields::{self, Field, Kind, Need};
use super::pages;
use super::reply::{Outcome, Refusal};
use super::state::{State, uuid};
use crate::clock;
use crate::k3s::random_hex;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// What `forever` comes to, hours.
const FOREVER: i64 = 24 * 365 * 100;

/// Answers what is below `service_tokens`.
pub fn route(state: &mut State, request: &Request, rest: &[&str]) -> Outcome {
    match (request.method.as_str(), rest) {
        ("GET", []) => {
            fields::query(request, &["name", "search", "page", "per_page"])?;
            let all = state.list("service_tokens").iter().map(shown).collect();
            pages::of(state, request, all)
        }
        ("POST", []) => create(state, request),
        ("PUT", [id]) => {
            fields::body(&request.body, &settable(Need::Optional))?;
            let hours = hours(&request.body)?;
            let token = state.find_mut("service_tokens", id)?;
            if let Some(name) = request.body.get("name") {
                token["name"] = name.clone();
            }
            if let Some(duration) = request.body.get("duration") {
                token["duration"] = duration.clone();
                token["expires_at"] = json!(after(hours));
            }
            Ok(shown(token).into())
        }
        ("POST", [id, "rotate"]) => {
            let token = state.find_mut("service_tokens", id)?;
            token["client_secret"] = json!(random_hex(32));
            let mut answer = shown(token);
            answer["client_secret"] = token["client_secret"].clone();
            Ok(answer.into())
        }
        ("POST", [id, "refresh"]) => {
            let token = state.find_mut("service_tokens", id)?;
            token["expires_at"] = json!(after(hours(token)?));
            Ok(shown(token).into())
        }
        ("DELETE", [id]) => delete(state, id),
        _ => Err(Refusal::no_route()),
    }
}

fn settable(name: Need) -> [Field; 2] {
    [Field("name", Kind::Text, name), Field("duration", Kind::Text, Need::Optional)]
}

fn create(state: &mut State, request: &Request) -> Outcome {
    fields::body(&request.body, &settable(Need::Required))?;
    let hours = hours(&request.body)?;
    let token = json!({
        "id": uuid(), "name": request.body["name"],
        "client_id": format!("{}.access", random_hex(16)), "client_secret": random_hex(32),
        "duration": request.body["duration"].as_str().unwrap_or("8760h"),
        "expires_at": after(hours), "created_at": clock::now(),
    });
    state.list_mut("service_tokens").push(token.clone());
    let mut answer = token;
    answer.as_object_mut().map(|table| table.remove("expires_at"));
    Ok(answer.into())
}

fn delete(state: &mut State, id: &str) -> Outcome {
    let rule = json!({ "service_token": { "token_id": id } });
    let uses = |policy: &Value| policy["include"].as_array().is_some_and(|all| all.contains(&rule));
    if state.list("access_policies").iter().any(uses) {
        let text = "access.api.error.conflict: the service token is used by a policy";
        return Err(Refusal::new(409, 12132, text));
    }
    Ok(state.remove("service_tokens", id)?.into())
}

fn shown(token: &Value) -> Value {
    let mut shown = token.clone();
    shown.as_object_mut().map(|table| table.remove("client_secret"));
    shown
}

fn hours(body: &Value) -> Result<i64, Refusal> {
    match body["duration"].as_str() {
        None => Ok(8760),
        Some("forever") => Ok(FOREVER),
        Some(text) => {
            let hours = text.strip_suffix('h').and_then(|number| number.parse().ok());
            hours.filter(|hours| *hours > 0).ok_or_else(|| {
                let text = "access.api.error.invalid_request: invalid duration";
                Refusal::new(400, 12130, text).at("/duration")
            })
        }
    }
}

fn after(hours: i64) -> String {
    clock::rfc3339(Timestamp::now() + SignedDuration::from_hours(hours))
}
