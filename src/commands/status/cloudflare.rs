//! Cloudflare's side in a status: whether it has drifted, and when the service token ends.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::certificate::days;
use crate::cloudflare::{SHORT, ServiceToken};
use crate::commands::beside;
use crate::commands::context::Context;
use crate::engine::Planned;
use crate::fleet::Selection;
use crate::health::age;

/// Cloudflare's side, or why it could not be seen.
pub struct Side {
    seen: Result<Seen, String>,
}

/// Cloudflare's side.
struct Seen {
    changes: Vec<String>,
    notes: Vec<String>,
    token: Option<ServiceToken>,
}

impl Side {
    /// Looks, where cluster.toml has to do with it.
    pub async fn look(context: &Context, selection: &Selection) -> Option<Self> {
        // What is waited for would stand in the way of the table.
        let found = beside::find(&context.cluster, selection, Box::new(|_| ())).await;
        let subject =
            |planned: &Planned| format!("{}: {}", planned.subject, planned.change.summary);
        let seen = match found {
            Ok(None) => return None,
            Ok(Some((desk, plan))) => Ok(Seen {
                changes: plan.changes.iter().map(subject).collect(),
                notes: plan.notes,
                token: desk.service_token(),
            }),
            Err(error) => Err(format!("{error:#}")),
        };
        Some(Self { seen })
    }

    /// Whether nothing can be said.
    pub fn is_unknown(&self) -> bool {
        self.seen.is_err()
    }

    /// Whether something would be changed.
    pub fn has_drifted(&self) -> bool {
        self.seen.as_ref().is_ok_and(|seen| !seen.changes.is_empty())
    }

    /// What is to be said of it.
    pub fn remarks(&self, now: Timestamp) -> Vec<String> {
        let seen = match &self.seen {
            Ok(seen) => seen,
            Err(why) => return vec![format!("Cloudflare was not seen: {why}")],
        };
        let mut remarks = Vec::new();
        if let Some(token) = &seen.token {
            remarks.push(remark(token, now));
        }
        remarks.extend(seen.notes.iter().map(|note| format!("Cloudflare: {note}")));
        if !seen.changes.is_empty() {
            remarks.push(format!(
                "Cloudflare: {} pending; `oceanid plan --only cloudflare` shows more",
                match seen.changes.len() {
                    1 => String::from("1 change"),
                    more => format!("{more} changes"),
                }
            ));
        }
        remarks
    }

    /// The same for programs.
    pub fn json(&self, now: Timestamp) -> Value {
        match &self.seen {
            Err(why) => json!({ "seen": false, "error": why }),
            Ok(seen) => json!({
                "seen": true, "drift": !seen.changes.is_empty(), "changes": seen.changes,
                "notes": seen.notes,
                "service-token": seen.token.as_ref().map(|token| json!({
                    "name": token.name, "client-id": token.client_id,
                    "expires": token.ends.map(|end| end.to_string()),
                    "days-left": token.ends.map(|end| days(end.as_second() - now.as_second())),
                })),
            }),
        }
    }
}

fn remark(token: &ServiceToken, now: Timestamp) -> String {
    let ServiceToken { name, client_id, ends } = token;
    let who = format!("service token `{name}` (client id {client_id})");
    let Some(left) = ends.map(|end| end.as_second() - now.as_second()) else {
        return format!("{who} never ends");
    };
    let renew = "`oceanid bootstrap --only cloudflare` extends it";
    match left {
        ..0 => format!("warning: {who} ended {} ago; {renew}", age(-left)),
        _ if days(left) < SHORT => format!("warning: {who} ends in {}; {renew}", age(left)),
        _ => format!("{who} ends in {}", age(left)),
    }
}
