//! What a test lets go wrong, and what it changes behind the API's back.

use super::Request;
use super::reply::{Outcome, Refusal};
use super::state::State;
use serde_json::{Value, json};

/// What is to go wrong: `{"method", "path", "status", "times", "after", "retry-after"}`.
#[derive(Debug, Default)]
pub struct Faults(Vec<Value>);

/// When a request fails.
#[derive(Debug)]
pub enum Fault {
    /// It is not carried out.
    Before(Refusal),
    /// It is carried out, and the answer is an error all the same.
    After(Refusal),
}

impl Faults {
    /// The fault that this request meets, which is thereby used up.
    pub fn met(&mut self, request: &Request) -> Option<Fault> {
        let path = request.path.join("/");
        let fault = self.0.iter_mut().find(|fault| {
            let times = fault["times"].as_u64().unwrap_or(1);
            let method = fault["method"].as_str().is_none_or(|method| method == request.method);
            times > 0 && method && path.contains(fault["path"].as_str().unwrap_or_default())
        })?;
        fault["times"] = json!(fault["times"].as_u64().unwrap_or(1) - 1);
        let status = fault["status"].as_u64().and_then(|status| u16::try_from(status).ok());
        let mut refusal = match status.unwrap_or(500) {
            429 => Refusal::new(429, 971, "Please wait and consider throttling your request speed"),
            status => Refusal::new(status, 10013, "Internal error"),
        };
        refusal.retry_after = fault["retry-after"].as_u64();
        let after = fault["after"].as_bool().unwrap_or_default();
        Some(if after { Fault::After(refusal) } else { Fault::Before(refusal) })
    }
}

/// Answers what is below `/_lab`: `POST faults` with a list, `PATCH LIST/ID` with what to set.
pub fn route(state: &mut State, faults: &mut Faults, request: &Request) -> Outcome {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    match (request.method.as_str(), &path[..]) {
        ("POST", ["faults"]) => {
            faults.0 = request.body.as_array().cloned().unwrap_or_default();
            Ok(Value::Null.into())
        }
        ("PATCH", [list, id]) => {
            let one = state.find_mut(list, id)?;
            for (name, value) in request.body.as_object().into_iter().flatten() {
                one[name] = value.clone();
            }
            Ok(one.clone().into())
        }
        ("POST", [list]) => {
            state.list_mut(list).push(request.body.clone());
            Ok(Value::Null.into())
        }
        ("DELETE", [list, id]) => Ok(state.remove(list, id)?.into()),
        _ => Err(Refusal::no_route()),
    }
}
