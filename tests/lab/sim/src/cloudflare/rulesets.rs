//! Rulesets of a zone: one a phase, none before the first rule, and limits by plan.

use super::Request;
use super::fields::{self, Field, Kind, Need};
use super::reply::{Outcome, Refusal};
use super::state::{State, copy, id};
use crate::clock;
use serde_json::{Map, Value, json};

const SETTABLE: [&str; 7] =
    ["action", "expression", "description", "enabled", "ref", "ratelimit", "action_parameters"];

/// Answers what is below `rulesets`.
pub fn route(state: &mut State, request: &Request, zone: &str, rest: &[&str]) -> Outcome {
    let plan = state.zone(zone)?["plan"]["legacy_id"].as_str().unwrap_or("free").to_owned();
    match (request.method.as_str(), rest) {
        ("GET", ["phases", phase, "entrypoint"]) => Ok(find(state, zone, phase)?.clone().into()),
        ("PUT", ["phases", phase, "entrypoint"]) => replace(state, request, zone, phase, &plan),
        ("POST", [ruleset, "rules"]) => {
            let ruleset = state.find("rulesets", ruleset)?.clone();
            let mut rules = ruleset["rules"].as_array().cloned().unwrap_or_default();
            rules.push(made(&request.body, &[], Place::Alone)?);
            keep(state, ruleset, rules, &plan)
        }
        ("PATCH", [ruleset, "rules", rule]) => {
            let ruleset = state.find("rulesets", ruleset)?.clone();
            let mut rules = ruleset["rules"].as_array().cloned().unwrap_or_default();
            let mut made = made(&request.body, &[], Place::Alone)?;
            let old = rules.iter_mut().find(|one| one["id"] == *rule);
            let old = old.ok_or_else(|| Refusal::new(404, 20404, "could not find rule"))?;
            made["id"] = old["id"].clone();
            *old = made;
            keep(state, ruleset, rules, &plan)
        }
        ("DELETE", [ruleset, "rules", rule]) => {
            let ruleset = state.find("rulesets", ruleset)?.clone();
            let mut rules = ruleset["rules"].as_array().cloned().unwrap_or_default();
            let before = rules.len();
            rules.retain(|one| one["id"] != *rule);
            if rules.len() == before {
                return Err(Refusal::new(404, 20404, "could not find rule"));
            }
            keep(state, ruleset, rules, &plan)
        }
        _ => Err(Refusal::no_route()),
    }
}

/// Replaces all rules of a phase, which may have had none.
fn replace(state: &mut State, request: &Request, zone: &str, phase: &str, plan: &str) -> Outcome {
    fields::body(
        &request.body,
        &[
            Field("rules", Kind::List, Need::Required),
            Field("description", Kind::Text, Need::Optional),
            Field("name", Kind::Text, Need::Optional),
        ],
    )?;
    let ruleset = find(state, zone, phase).cloned().unwrap_or_else(|_| {
        json!({ "id": id(), "zone_id": zone, "name": "default", "kind": "zone",
            "description": "", "phase": phase, "version": "0", "rules": [] })
    });
    let old = ruleset["rules"].as_array().cloned().unwrap_or_default();
    let rules = request.body["rules"].as_array().into_iter().flatten();
    let rules: Result<Vec<Value>, Refusal> =
        rules.map(|rule| made(rule, &old, Place::List)).collect();
    keep(state, ruleset, rules?, plan)
}

fn find<'s>(state: &'s State, zone: &str, phase: &str) -> Result<&'s Value, Refusal> {
    let fits = |one: &&Value| one["zone_id"] == zone && one["phase"] == phase;
    state.list("rulesets").iter().find(fits).ok_or_else(|| {
        let text = format!("could not find entrypoint ruleset in the {phase} phase");
        Refusal::new(404, 10003, text)
    })
}

/// How a rule came: in the list of a whole ruleset, or alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    List,
    Alone,
}

/// Reads a rule; one that is known by its id or ref keeps its id.
fn made(body: &Value, old: &[Value], place: Place) -> Result<Value, Refusal> {
    let mut known = vec![
        Field("action", Kind::Text, Need::Required),
        Field("expression", Kind::Text, Need::Required),
        Field("description", Kind::Text, Need::Optional),
        Field("enabled", Kind::Switch, Need::Optional),
        Field("ref", Kind::Text, Need::Optional),
        Field("ratelimit", Kind::Table, Need::Optional),
        Field("action_parameters", Kind::Table, Need::Optional),
    ];
    known.push(match place {
        Place::List => Field("id", Kind::Text, Need::Optional),
        Place::Alone => Field("position", Kind::Table, Need::Optional),
    });
    fields::body(body, &known)?;
    let same = |one: &&Value| {
        ["id", "ref"].iter().any(|key| body.get(*key).is_some_and(|value| one[*key] == *value))
    };
    let id = old.iter().find(same).map_or_else(|| json!(id()), |one| one["id"].clone());
    let mut rule = Map::from_iter([
        ("id".to_owned(), id.clone()),
        ("version".to_owned(), json!("1")),
        ("ref".to_owned(), id),
        ("enabled".to_owned(), json!(true)),
        ("last_updated".to_owned(), json!(clock::now_micro())),
    ]);
    copy(body, &SETTABLE, &mut rule);
    Ok(Value::Object(rule))
}

fn keep(state: &mut State, mut ruleset: Value, rules: Vec<Value>, plan: &str) -> Outcome {
    let phase = ruleset["phase"].as_str().unwrap_or_default().to_owned();
    for rule in &rules {
        check(rule, &phase, plan)?;
    }
    let most = match (phase.as_str(), plan) {
        ("http_ratelimit", "free") => 1,
        ("http_request_firewall_custom", "free") => 5,
        _ => 100,
    };
    if rules.len() > most {
        let text = format!(
            "exceeded maximum number of rules in the phase {phase}: {} out of {most}",
            rules.len()
        );
        return Err(Refusal::new(400, 20217, text).at("/rules"));
    }
    let mut refs: Vec<&str> = rules.iter().filter_map(|rule| rule["ref"].as_str()).collect();
    refs.sort_unstable();
    refs.dedup();
    if refs.len() != rules.len() {
        return Err(Refusal::new(400, 20119, "rule refs must be unique").at("/rules"));
    }
    let version = ruleset["version"].as_str().and_then(|text| text.parse::<u64>().ok());
    ruleset["version"] = json!((version.unwrap_or_default() + 1).to_string());
    ruleset["last_updated"] = json!(clock::now_micro());
    ruleset["rules"] = Value::Array(rules);
    let list = state.list_mut("rulesets");
    match list.iter_mut().find(|one| one["id"] == ruleset["id"]) {
        Some(kept) => *kept = ruleset.clone(),
        None => list.push(ruleset.clone()),
    }
    Ok(ruleset.into())
}

fn check(rule: &Value, phase: &str, plan: &str) -> Result<(), Refusal> {
    let refuse = |text: String| Err(Refusal::new(400, 20127, text).at("/rules"));
    let action = rule["action"].as_str().unwrap_or_default();
    if !["block", "challenge", "managed_challenge", "js_challenge", "log", "skip"].contains(&action)
    {
        return refuse(format!("unknown action '{action}'"));
    }
    let limit = &rule["ratelimit"];
    if (phase == "http_ratelimit") != limit.is_object() {
        return refuse(format!("a rule of the phase {phase} and ratelimit do not go together"));
    }
    if limit.is_null() {
        return Ok(());
    }
    fields::body(
        limit,
        &[
            Field("characteristics", Kind::List, Need::Required),
            Field("period", Kind::Number, Need::Required),
            Field("requests_per_period", Kind::Number, Need::Required),
            Field("mitigation_timeout", Kind::Number, Need::Optional),
            Field("counting_expression", Kind::Text, Need::Optional),
            Field("requests_to_origin", Kind::Switch, Need::Optional),
        ],
    )?;
    let counted = limit["characteristics"].as_array().map_or(&[][..], Vec::as_slice);
    if !counted.iter().any(|one| one == "cf.colo.id") {
        return refuse("characteristics must include cf.colo.id".to_owned());
    }
    let period = limit["period"].as_u64().unwrap_or_default();
    let allowed: &[u64] = if plan == "free" { &[10] } else { &[10, 60, 120, 300, 600, 3600] };
    if !allowed.contains(&period) {
        return refuse(format!(
            "not entitled to use the period {period}, can only use {allowed:?}"
        ));
    }
    let timeout = limit["mitigation_timeout"].as_u64().unwrap_or_default();
    if plan == "free" && timeout != 10 {
        return refuse(format!(
            "not entitled to use the mitigation timeout {timeout}, can only use [10]"
        ));
    }
    let expression = rule["expression"].as_str().unwrap_or_default();
    if plan == "free" && expression.contains("http.host") {
        return refuse(format!(
            "'{expression}' is not a valid value for expression because the use of field http.host is not allowed"
        ));
    }
    Ok(())
}
