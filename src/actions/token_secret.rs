//! Cloudflare's token as a secret of the cluster: written from stdin, compared by its hash, never read back.

use secrecy::SecretString;
use serde_json::Value;

use super::output;
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::kube::{Identity, compare, curl, fields, url};
use crate::script::{Body, Script, quote};
use crate::secret;

const PATH: &str = "/api/v1/namespaces/cert-manager/secrets/cloudflare-api-token";
/// The annotation with the hash of what the secret holds.
const SUM: &str = "oceanid.io/sha256";
/// How the API is asked for everything about an object but its content.
const METADATA: &str = "Accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// The token for cert-manager's issuer.
#[derive(Debug)]
pub struct TokenSecret {
    token: Option<SecretString>,
}

impl TokenSecret {
    /// Requires that the cluster has `token`; without one it is not resolved yet.
    #[must_use]
    pub fn new(token: Option<SecretString>) -> Self {
        Self { token }
    }

    fn apply(&self) -> Script {
        let sum = self.token.as_ref().map(secret::sha256_hex).unwrap_or_default();
        let head = serde_json::json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {
                "name": "cloudflare-api-token", "namespace": "cert-manager",
                "labels": { "app.kubernetes.io/managed-by": "oceanid" },
                "annotations": { SUM: sum },
            },
        });
        let head = head.to_string();
        let head = head.strip_suffix('}').unwrap_or(&head);
        let text = format!(
            "token=$(base64 -w0)\n\
             answer=$(printf '%s,\"data\":{{\"api-token\":\"%s\"}}}}' {head} \"$token\" | {curl} -X PATCH \
             -H 'Content-Type: application/apply-patch+yaml' --data-binary @- {url}) || {{\n\
             printf '%s\\n' \"$answer\" | sed -n 's/.*\"message\":\"\\(\\([^\"\\\\]\\|\\\\.\\)*\\)\".*/\\1/p' >&2; exit 1; }}\n",
            head = quote(head),
            curl = curl(Identity::Admin),
            url = url(Identity::Admin, &format!("{PATH}?fieldManager=oceanid&pretty=false")),
        );
        let body = self.token.clone().map_or(Body::Later, Body::Secret);
        Script::new(text).stdin(body)
    }
}

impl Action for TokenSecret {
    fn subject(&self) -> String {
        String::from("secret cert-manager/cloudflare-api-token")
    }

    fn probe(&self) -> Vec<Question> {
        let url = url(Identity::Admin, &format!("{PATH}?pretty=false"));
        vec![Question::Script(format!("{} -H '{METADATA}' {url}\n", curl(Identity::Admin)))]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let seen = output(seen, 0)?;
        let live: Option<Value> =
            if seen.status == 0 { serde_json::from_str(&seen.stdout).ok() } else { None };
        let sum = live.as_ref().and_then(|live| live.get("metadata")?.get("annotations")?.get(SUM));
        let wanted = self.token.as_ref().map(secret::sha256_hex);
        // Who writes another token into it takes the field away from us.
        let field = ["f:data", "f:api-token"].map(str::to_owned).to_vec();
        let ours = live.as_ref().is_some_and(|live| fields::touches(&compare::own(live), &field));
        if ours && wanted.is_some() && sum.and_then(Value::as_str) == wanted.as_deref() {
            return Ok(None);
        }
        let gone = url(Identity::Admin, &format!("{PATH}?pretty=false"));
        let (summary, undo) = if live.is_some() {
            ("write another token, which is not shown", Undo::Never)
        } else {
            let delete = format!("{} -o /dev/null -X DELETE {gone}\n", curl(Identity::Admin));
            ("create, its token is not shown", Undo::Run(Script::new(delete)))
        };
        Ok(Some(Change { summary: summary.to_owned(), diff: None, apply: self.apply(), undo }))
    }
}
