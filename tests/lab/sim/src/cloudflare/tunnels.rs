//! Tunnels: deleted ones stay in the list, and a running one is not deleted.

use super::Request;
use super::fields::{self, Field, Kind, Need};
use super::pages;
use super::reply::{Outcome, Refusal};
use super::state::{State, uuid};
use crate::clock;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const QUERY: [&str; 7] =
    ["name", "is_deleted", "uuid", "status", "page", "per_page", "include_prefix"];

/// Answers what is below `cfd_tunnel`.
pub fn route(state: &mut State, request: &Request, account: &str, rest: &[&str]) -> Outcome {
    match (request.method.as_str(), rest) {
        ("GET", []) => list(state, request),
        ("POST", []) => create(state, request, account),
        (method, [id, rest @ ..]) => {
            let tunnel = state.find("tunnels", id)?.clone();
            if !tunnel["deleted_at"].is_null() && method != "GET" {
                return Err(Refusal::new(404, 1003, "Tunnel not found"));
            }
            one(state, request, &tunnel, rest)
        }
        _ => Err(Refusal::no_route()),
    }
}

fn one(state: &mut State, request: &Request, tunnel: &Value, rest: &[&str]) -> Outcome {
    let id = tunnel["id"].as_str().unwrap_or_default();
    match (request.method.as_str(), rest) {
        ("GET", []) => Ok(shown(tunnel).into()),
        ("DELETE", []) => delete(state, id),
        ("GET", ["token"]) => Ok(Value::String(token(tunnel)).into()),
        ("GET", ["connections"]) => Ok(tunnel["connections"].clone().into()),
        ("DELETE", ["connections"]) => {
            state.find_mut("tunnels", id)?["connections"] = json!([]);
            Ok(Value::Null.into())
        }
        ("GET", ["configurations"]) => Ok(configuration(tunnel).into()),
        ("PUT", ["configurations"]) => configure(state, request, tunnel),
        _ => Err(Refusal::no_route()),
    }
}

fn list(state: &State, request: &Request) -> Outcome {
    fields::query(request, &QUERY)?;
    let fits = |tunnel: &&Value| {
        let deleted = !tunnel["deleted_at"].is_null();
        request.parameter("name").is_none_or(|name| tunnel["name"] == name)
            && request.parameter("is_deleted").is_none_or(|wanted| wanted == deleted.to_string())
    };
    let found = state.list("tunnels").iter().filter(fits);
    pages::of(state, request, found.map(shown).collect())
}

fn create(state: &mut State, request: &Request, account: &str) -> Outcome {
    let body = &request.body;
    fields::body(
        body,
        &[
            Field("name", Kind::Text, Need::Required),
            Field("config_src", Kind::Text, Need::Optional),
            Field("tunnel_secret", Kind::Text, Need::Optional),
        ],
    )?;
    let taken = |one: &Value| one["name"] == body["name"] && one["deleted_at"].is_null();
    if state.list("tunnels").iter().any(taken) {
        return Err(Refusal::new(409, 1013, "You already have a tunnel with this name."));
    }
    let source = body["config_src"].as_str().unwrap_or("local");
    if !["local", "cloudflare"].contains(&source) {
        return Err(Refusal::new(400, 1001, "config_src must be local or cloudflare"));
    }
    let secret = match body["tunnel_secret"].as_str() {
        None if source == "local" => {
            return Err(Refusal::new(400, 1001, "tunnel_secret is required").at("/tunnel_secret"));
        }
        None => STANDARD.encode(crate::k3s::random_hex(16)),
        Some(given) if STANDARD.decode(given).is_ok_and(|bytes| bytes.len() >= 32) => {
            given.to_owned()
        }
        Some(_) => return Err(Refusal::new(400, 1001, "tunnel_secret must be 32 bytes in base64")),
    };
    let tunnel = json!({
        "id": uuid(), "account_tag": account, "name": body["name"], "secret": secret,
        "config_src": source, "created_at": clock::now_micro(), "deleted_at": null,
        "connections": [], "config": null, "version": 0,
    });
    let mut answer = shown(&tunnel);
    answer["token"] = json!(token(&tunnel));
    answer["credentials_file"] = json!({
        "AccountTag": account, "TunnelID": tunnel["id"], "TunnelName": tunnel["name"],
        "TunnelSecret": secret,
    });
    state.list_mut("tunnels").push(tunnel);
    Ok(answer.into())
}

fn delete(state: &mut State, id: &str) -> Outcome {
    let tunnel = state.find_mut("tunnels", id)?;
    if tunnel["connections"].as_array().is_some_and(|all| !all.is_empty()) {
        let text = "Cannot delete tunnel because it has active connections";
        return Err(Refusal::new(400, 1022, text));
    }
    tunnel["deleted_at"] = json!(clock::now_micro());
    Ok(shown(tunnel).into())
}

/// What the API shows of a tunnel: never its secret.
fn shown(tunnel: &Value) -> Value {
    let up = tunnel["connections"].as_array().is_some_and(|all| !all.is_empty());
    let remote = tunnel["config_src"] == "cloudflare";
    json!({
        "id": tunnel["id"], "account_tag": tunnel["account_tag"], "name": tunnel["name"],
        "created_at": tunnel["created_at"], "deleted_at": tunnel["deleted_at"], "connections": [],
        "conns_active_at": null, "conns_inactive_at": null, "tun_type": "cfd_tunnel",
        "metadata": {}, "status": if up { "healthy" } else { "inactive" },
        "remote_config": remote, "config_src": tunnel["config_src"],
    })
}

fn token(tunnel: &Value) -> String {
    let inside = json!({ "a": tunnel["account_tag"], "t": tunnel["id"], "s": tunnel["secret"] });
    STANDARD.encode(inside.to_string())
}

fn configuration(tunnel: &Value) -> Value {
    json!({
        "account_id": tunnel["account_tag"], "tunnel_id": tunnel["id"],
        "version": tunnel["version"], "config": tunnel["config"],
        "source": tunnel["config_src"], "created_at": tunnel["created_at"],
    })
}

fn configure(state: &mut State, request: &Request, tunnel: &Value) -> Outcome {
    if tunnel["config_src"] != "cloudflare" {
        let text = "the tunnel is configured locally";
        return Err(Refusal::new(400, 1056, text));
    }
    fields::body(&request.body, &[Field("config", Kind::Table, Need::Required)])?;
    let config = &request.body["config"];
    fields::body(
        config,
        &[
            Field("ingress", Kind::List, Need::Required),
            Field("originRequest", Kind::Table, Need::Optional),
            Field("warp-routing", Kind::Table, Need::Optional),
        ],
    )?;
    let rules = config["ingress"].as_array().map_or(&[][..], Vec::as_slice);
    let last = rules.len().saturating_sub(1);
    for (index, rule) in rules.iter().enumerate() {
        fields::body(
            rule,
            &[
                Field("hostname", Kind::Text, Need::Optional),
                Field("path", Kind::Text, Need::Optional),
                Field("service", Kind::Text, Need::Required),
                Field("originRequest", Kind::Table, Need::Optional),
            ],
        )?;
        let catches_all = rule.get("hostname").is_none() && rule.get("path").is_none();
        if catches_all != (index == last) {
            let text =
                "Bad Configuration: the last ingress rule, and only the last, must match all";
            return Err(Refusal::new(400, 1056, text));
        }
    }
    if rules.is_empty() {
        return Err(Refusal::new(400, 1056, "Bad Configuration: no ingress rules"));
    }
    let id = tunnel["id"].as_str().unwrap_or_default();
    let kept = state.find_mut("tunnels", id)?;
    kept["config"] = config.clone();
    kept["version"] = json!(kept["version"].as_u64().unwrap_or_default() + 1);
    Ok(configuration(kept).into())
}
