//! The envelope that every answer comes in.

use serde_json::{Value, json};

/// What a request comes to.
pub type Outcome = Result<Reply, Refusal>;

/// A good answer.
#[derive(Debug)]
pub struct Reply {
    /// What was asked for.
    pub result: Value,
    /// Which page it is.
    pub info: Option<Value>,
}

impl From<Value> for Reply {
    fn from(result: Value) -> Self {
        Self { result, info: None }
    }
}

/// A bad answer.
#[derive(Debug)]
pub struct Refusal {
    /// The status of HTTP.
    pub status: u16,
    /// Cloudflare's own code.
    pub code: u32,
    /// In words.
    pub message: String,
    /// The field that is wrong.
    pub pointer: Option<String>,
    /// After how many seconds to ask again.
    pub retry_after: Option<u64>,
}

impl Refusal {
    /// Makes one.
    pub fn new(status: u16, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), pointer: None, retry_after: None }
    }

    /// Says which field is wrong.
    pub fn at(mut self, pointer: &str) -> Self {
        self.pointer = Some(pointer.to_owned());
        self
    }

    /// Of a path that leads nowhere.
    pub fn no_route() -> Self {
        Self::new(404, 7000, "No route for that URI")
    }
}

/// Wraps an outcome.
pub fn envelope(outcome: &Outcome) -> (u16, Value) {
    match outcome {
        Ok(reply) => {
            let mut body =
                json!({ "success": true, "errors": [], "messages": [], "result": reply.result });
            if let Some(info) = &reply.info {
                body["result_info"] = info.clone();
            }
            (200, body)
        }
        Err(refusal) => {
            let mut error = json!({ "code": refusal.code, "message": refusal.message });
            if let Some(pointer) = &refusal.pointer {
                error["source"] = json!({ "pointer": pointer });
            }
            if refusal.status == 403 {
                error["documentation_url"] = json!(
                    "https://developers.cloudflare.com/fundamentals/api/reference/permissions/"
                );
            }
            let body =
                json!({ "success": false, "errors": [error], "messages": [], "result": null });
            (refusal.status, body)
        }
    }
}
