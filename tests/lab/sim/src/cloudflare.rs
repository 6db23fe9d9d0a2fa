//! Cloudflare's API, as far as tunnels, DNS, Access and rules go: it enforces what the real one does.
//!
//! `sim cloudflare-api STATE LOG [ADDRESS:PORT]`: the file STATE is what there is (accounts' zones,
//! tokens and everything made since), written anew after each change; LOG gets a JSON line a request.
//! The first line on stdout is the address below which the API is.

mod access;
mod auth;
mod dns;
mod faults;
mod fields;
mod http;
mod pages;
mod reply;
mod rules;
mod rulesets;
mod service_tokens;
mod state;
mod tunnels;

use auth::Caller;
use reply::{Outcome, Refusal};
use serde_json::Value;
use state::State;
use std::process::ExitCode;

/// A request that was read whole.
#[derive(Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The parts of the path below `/client/v4`.
    pub path: Vec<String>,
    /// The decoded query.
    pub query: Vec<(String, String)>,
    /// The body; null without one.
    pub body: Value,
}

impl Request {
    /// Returns a query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Serves for ever.
pub fn main(arguments: &[String]) -> ExitCode {
    let (state, log, address) = match arguments {
        [state, log] => (state, log, "127.0.0.1:0"),
        [state, log, address] => (state, log, address.as_str()),
        _ => return ExitCode::from(64),
    };
    match http::serve(state.as_ref(), log.as_ref(), address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::log::plain(format!("sim: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Answers a request.
pub fn route(state: &mut State, request: &Request, bearer: &str) -> Outcome {
    let caller = auth::of(state, bearer)?;
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    if let ["user", "tokens", "verify"] = path[..] {
        return auth::verify(&caller, None);
    }
    if let ["accounts", account, "tokens", "verify"] = path[..] {
        return auth::verify(&caller, Some(account));
    }
    caller.is_active()?;
    match &path[..] {
        ["zones"] => zones(state, request, &caller),
        ["zones", zone, "dns_records", rest @ ..] => {
            caller.may(state, None, "dns", &request.method)?;
            dns::route(state, request, zone, rest)
        }
        ["zones", zone, "rulesets", rest @ ..] => {
            caller.may(state, None, "waf", &request.method)?;
            rulesets::route(state, request, zone, rest)
        }
        ["accounts", account, "cfd_tunnel", rest @ ..] => {
            caller.may(state, Some(account), "tunnel", &request.method)?;
            tunnels::route(state, request, account, rest)
        }
        ["accounts", account, "access", "service_tokens", rest @ ..] => {
            caller.may(state, Some(account), "service-tokens", &request.method)?;
            service_tokens::route(state, request, rest)
        }
        ["accounts", account, "access", rest @ ..] => {
            caller.may(state, Some(account), "access", &request.method)?;
            access::route(state, request, rest)
        }
        _ => Err(Refusal::no_route()),
    }
}

/// Lists the zones that the token may see: without the right to read them, none.
fn zones(state: &State, request: &Request, caller: &Caller) -> Outcome {
    if request.method != "GET" {
        return Err(Refusal::no_route());
    }
    fields::query(request, &["name", "account.id", "status", "page", "per_page"])?;
    let sees = caller.may(state, None, "zone", "GET").is_ok();
    let fits = |zone: &&Value| {
        let is =
            |name: &str, value: &Value| request.parameter(name).is_none_or(|text| value == text);
        sees && is("name", &zone["name"]) && is("account.id", &zone["account"]["id"])
    };
    pages::of(state, request, state.list("zones").iter().filter(fits).cloned().collect())
}
