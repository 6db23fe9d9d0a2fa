//! Lists come in pages.

use super::Request;
use super::reply::{Outcome, Refusal, Reply};
use super::state::State;
use serde_json::{Value, json};

/// The page of `all` that was asked for.
pub fn of(state: &State, request: &Request, all: Vec<Value>) -> Outcome {
    let number = |name: &str, default: usize| match request.parameter(name) {
        None => Ok(default),
        Some(text) => text.parse::<usize>().ok().filter(|number| *number > 0).ok_or_else(|| {
            Refusal::new(400, 1002, format!("{name} must be a positive whole number"))
        }),
    };
    let (page, size) = (number("page", 1)?, number("per_page", 20)?.min(state.page()));
    let total = all.len();
    let shown: Vec<Value> = all.into_iter().skip((page - 1) * size).take(size).collect();
    let info = json!({
        "page": page, "per_page": size, "count": shown.len(), "total_count": total,
        "total_pages": total.div_ceil(size),
    });
    Ok(Reply { result: Value::Array(shown), info: Some(info) })
}
