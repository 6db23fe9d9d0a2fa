//! Who asks, and what the token may do.

use super::reply::{Outcome, Refusal};
use super::state::State;
use serde_json::{Value, json};

/// Who asks: a token of the state.
#[derive(Debug)]
pub struct Caller(Value);

/// Finds the token.
pub fn of(state: &State, bearer: &str) -> Result<Caller, Refusal> {
    let found = state.list("tokens").iter().find(|token| token["value"] == bearer);
    match found {
        Some(token) if !bearer.is_empty() => Ok(Caller(token.clone())),
        _ if bearer.is_empty() => Err(Refusal::new(
            400,
            9106,
            "Missing X-Auth-Key, X-Auth-Email or Authorization headers",
        )),
        _ => Err(Refusal::new(401, 1000, "Invalid API Token")),
    }
}

/// Says of what state a token is: each kind of token at a path of its own.
pub fn verify(caller: &Caller, account: Option<&str>) -> Outcome {
    let Caller(token) = caller;
    let own = match account {
        None => token["kind"] != "account",
        Some(account) => token["kind"] == "account" && token["account"] == account,
    };
    if !own {
        return Err(Refusal::new(401, 1000, "Invalid API Token"));
    }
    let mut result = json!({ "id": token["id"], "status": token["status"] });
    if let Some(expires) = token.get("expires_on") {
        result["expires_on"] = expires.clone();
    }
    Ok(result.into())
}

impl Caller {
    /// Refuses a token that is no longer good.
    pub fn is_active(&self) -> Result<(), Refusal> {
        if self.0["status"] == "active" {
            return Ok(());
        }
        Err(Refusal::new(401, 1000, "Invalid API Token"))
    }

    /// Refuses what the token may not do: `tunnel:edit` lets read, too.
    pub fn may(
        &self,
        state: &State,
        account: Option<&str>,
        area: &str,
        method: &str,
    ) -> Result<(), Refusal> {
        let Caller(token) = self;
        let known = |id: &str| state.list("accounts").iter().any(|one| one["id"] == id);
        if account.is_some_and(|id| !known(id) || token["account"] != id) {
            return Err(Refusal::new(403, 10000, "Authentication error"));
        }
        let has = |right: &str| {
            let wanted = format!("{area}:{right}");
            token["permissions"].as_array().is_some_and(|all| all.iter().any(|one| *one == *wanted))
        };
        if has("edit") || (method == "GET" && has("read")) {
            return Ok(());
        }
        // Zones and accounts say it in different words.
        Err(match area {
            "dns" => Refusal::new(403, 9109, "Unauthorized to access requested resource"),
            _ => Refusal::new(403, 10000, "Authentication error"),
        })
    }
}
