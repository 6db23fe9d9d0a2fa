//! One thing to change at Cloudflare: what is printed, and what is sent.

use reqwest::Method;
use serde_json::Value;

use super::api::Request;
use super::area::Area;
use crate::action::{Change, Undo};
use crate::engine::Planned;
use crate::script::{Body, Script};

/// One thing to change.
#[derive(Debug, Clone)]
pub struct Deed {
    /// The thing: `CNAME gpu.example.com`.
    pub subject: String,
    /// What changes, in a few words.
    pub summary: String,
    /// What is inside, line by line.
    pub diff: Option<String>,
    /// The part of the API that shows it.
    pub area: Area,
    /// What is sent.
    pub call: Call,
}

/// What is sent.
#[derive(Debug, Clone)]
pub enum Call {
    /// This.
    Send(Request),
    /// This, and with it a new secret for the tunnel.
    Tunnel(Request),
    /// This; the answer holds a secret that is stored, and then the token takes its name.
    Token {
        /// Makes the token, or gives it a new secret.
        request: Request,
        /// What it is called once its secret is stored.
        named: Value,
    },
    /// Not known before an earlier change was made.
    Later,
}

impl Deed {
    /// Something new: `body` is sent to `path`.
    pub fn create(area: Area, subject: String, path: &str, body: Value) -> Self {
        let diff = Some(difference(&Value::Null, &body));
        let call = Call::Send(Request::new(area, Method::POST, path, Some(body)));
        Self { subject, summary: String::from("create"), diff, area, call }
    }

    /// Something that goes.
    pub fn delete(area: Area, subject: String, path: String) -> Self {
        let call = Call::Send(Request::new(area, Method::DELETE, path, None));
        Self { subject, summary: String::from("delete"), diff: None, area, call }
    }

    /// As it stands in a plan.
    pub fn planned(self) -> Planned {
        let body = if matches!(self.call, Call::Later) { Body::Later } else { Body::Empty };
        Planned {
            step: super::NAME,
            subject: self.subject,
            change: Change {
                summary: self.summary,
                diff: self.diff,
                apply: Script::new("").stdin(body),
                undo: Undo::Never,
            },
        }
    }
}

/// The names of the fields of `wanted` that `seen` has otherwise.
pub fn differing<'w>(seen: &Value, wanted: &'w Value) -> Vec<&'w str> {
    let fields = wanted.as_object().into_iter().flatten();
    fields
        .filter(|(name, value)| seen.get(*name) != Some(*value))
        .map(|(name, _)| name.as_str())
        .collect()
}

/// One line for what goes and one for what comes, for each field that differs.
pub fn difference(seen: &Value, wanted: &Value) -> String {
    let mut lines = Vec::new();
    for name in differing(seen, wanted) {
        if let Some(old) = seen.get(name).filter(|old| !old.is_null()) {
            lines.push(format!("-{name}: {old}"));
        }
        lines.push(format!("+{name}: {}", wanted.get(name).unwrap_or(&Value::Null)));
    }
    lines.join("\n")
}
