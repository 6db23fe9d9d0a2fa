//! Access: who may come to a name.

use super::state::{App, Policy, ServiceToken, State};
use crate::web::{Body, plain};
use hyper::body::Incoming;
use hyper::header::{HeaderValue, LOCATION};
use hyper::{Request, Response};

/// The headers of a service token.
const HEADERS: [&str; 2] = ["cf-access-client-id", "cf-access-client-secret"];

/// Refuses a request that may not come in; one that may has the token's headers taken off.
pub fn judge(state: &State, host: &str, request: &mut Request<Incoming>) -> Option<Response<Body>> {
    let app = state.access_apps.iter().find(|app| covers(app, host, request.uri().path()))?;
    let token = service_token(state, request);
    for header in HEADERS {
        request.headers_mut().remove(header);
    }
    if app.policies.iter().any(|policy| passes(policy, token)) {
        return None;
    }
    if app.service_auth_401_redirect {
        return Some(plain(401, "Unauthorized\n"));
    }
    // Nobody can log in where only programs may come.
    let people = app.policies.iter().any(|policy| policy.decision == "allow");
    if !people && !app.policies.is_empty() {
        return Some(plain(403, "Forbidden. You don't have permission to view this.\n"));
    }
    let mut login = plain(302, "");
    let url = format!("https://lab.cloudflareaccess.com/cdn-cgi/access/login/{host}?kid=lab");
    login.headers_mut().insert(LOCATION, HeaderValue::from_str(&url).ok()?);
    Some(login)
}

fn covers(app: &App, host: &str, path: &str) -> bool {
    let (name, below) = app.domain.split_once('/').unwrap_or((&app.domain, ""));
    let named = match name.strip_prefix("*.") {
        Some(rest) => host.strip_suffix(rest).is_some_and(|start| start.ends_with('.')),
        None => name.eq_ignore_ascii_case(host),
    };
    named && path.trim_start_matches('/').starts_with(below)
}

/// The token that came along, if it is one that is valid now.
fn service_token<'s>(state: &'s State, request: &Request<Incoming>) -> Option<&'s ServiceToken> {
    let header = |name: &str| request.headers().get(name)?.to_str().ok();
    let [id, secret] = HEADERS.map(header);
    let (id, secret) = (id?, secret?);
    let found = |token: &&ServiceToken| token.client_id == id && token.client_secret == secret;
    let token = state.service_tokens.iter().find(found)?;
    let ends = token.expires_at.as_ref().and_then(|ends| crate::clock::seconds_since(ends));
    ends.is_none_or(|since| since < 0).then_some(token)
}

/// A token passes a policy for programs alone: one for people sends it to the login.
fn passes(policy: &Policy, token: Option<&ServiceToken>) -> bool {
    match policy.decision.as_str() {
        "bypass" => true,
        "non_identity" => token.is_some_and(|token| {
            policy.include.iter().any(|rule| {
                rule["service_token"]["token_id"] == token.id
                    || rule["any_valid_service_token"].is_object()
            })
        }),
        _ => false,
    }
}
