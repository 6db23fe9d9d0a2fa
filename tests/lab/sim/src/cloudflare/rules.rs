//! What a policy of Access may say.

use super::fields::{self, Field, Kind, Need};
use super::reply::Refusal;
use super::state::State;
use serde_json::{Value, json};

/// Where a policy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In one application.
    Inline,
    /// By itself.
    Reusable,
}

/// Reads a policy, or refuses it.
pub fn policy(state: &State, body: &Value, place: Place) -> Result<Value, Refusal> {
    let mut known = vec![
        Field("name", Kind::Text, Need::Required),
        Field("decision", Kind::Text, Need::Required),
        Field("include", Kind::List, Need::Required),
        Field("exclude", Kind::List, Need::Optional),
        Field("require", Kind::List, Need::Optional),
        Field("session_duration", Kind::Text, Need::Optional),
    ];
    if place == Place::Inline {
        known.push(Field("precedence", Kind::Number, Need::Optional));
    }
    fields::body(body, &known)?;
    let decision = body["decision"].as_str().unwrap_or_default();
    if !["allow", "deny", "non_identity", "bypass"].contains(&decision) {
        return Err(invalid("unknown decision").at("/decision"));
    }
    if body["include"].as_array().is_none_or(Vec::is_empty) {
        return Err(invalid("include must not be empty").at("/include"));
    }
    for list in ["include", "exclude", "require"] {
        for one in body[list].as_array().into_iter().flatten() {
            rule(state, one)?;
        }
    }
    let list = |name: &str| body.get(name).cloned().unwrap_or_else(|| json!([]));
    Ok(json!({
        "name": body["name"], "decision": decision, "include": list("include"),
        "exclude": list("exclude"), "require": list("require"),
        "session_duration": body["session_duration"].as_str().unwrap_or("24h"),
        "reusable": place == Place::Reusable,
    }))
}

fn invalid(text: &str) -> Refusal {
    Refusal::new(400, 12130, format!("access.api.error.invalid_request: {text}"))
}

/// A table with the one key that says what kind of rule it is.
fn rule(state: &State, rule: &Value) -> Result<(), Refusal> {
    let Some((kind, inside)) =
        rule.as_object().filter(|table| table.len() == 1).and_then(|table| table.iter().next())
    else {
        return Err(invalid("a rule is a table with one key"));
    };
    let key = match kind.as_str() {
        "everyone" | "any_valid_service_token" | "certificate" => return fields::body(inside, &[]),
        "email" => "email",
        "email_domain" => "domain",
        "ip" => "ip",
        "group" => "id",
        "service_token" => "token_id",
        _ => return Err(invalid(&format!("unknown rule `{kind}`"))),
    };
    fields::body(inside, &[Field(key, Kind::Text, Need::Required)])?;
    let token = |id: &Value| state.list("service_tokens").iter().any(|token| token["id"] == *id);
    if kind == "service_token" && !token(&inside["token_id"]) {
        return Err(invalid("the service token does not exist"));
    }
    Ok(())
}
