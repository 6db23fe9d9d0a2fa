//! Tokens made by `k3s token create`, kept as secrets `bootstrap-token-ID` in kube-system.

use super::store::{SECRETS, Store};
use base64::Engine;
use serde_json::{Value, json};

/// Says whether `id.secret` was made here and has not expired.
pub fn is_valid(store: &Store, token: &str) -> bool {
    let Some((id, secret)) = token.split_once('.') else { return false };
    let Some(kept) = store.get(&SECRETS, "kube-system", &format!("bootstrap-token-{id}")) else {
        return false;
    };
    let expired = field(kept, "expiration")
        .and_then(|when| crate::clock::seconds_since(&when))
        .is_some_and(|seconds| seconds >= 0);
    field(kept, "token-secret").as_deref() == Some(secret) && !expired
}

/// Returns a field of such a secret, decoded.
pub fn field(secret: &Value, name: &str) -> Option<String> {
    let encoded = secret["data"][name].as_str()?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    String::from_utf8(bytes).ok()
}

/// Builds the secret of the token `id.secret`.
pub fn secret(id: &str, secret: &str, description: &str, expiration: Option<&str>) -> Value {
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let mut data = json!({
        "token-id": encode(id), "token-secret": encode(secret), "description": encode(description),
        "usage-bootstrap-authentication": encode("true"),
        "auth-extra-groups": encode("system:bootstrappers:k3s:default-node-token"),
    });
    if let Some(when) = expiration {
        data["expiration"] = json!(encode(when));
    }
    json!({
        "metadata": { "name": format!("bootstrap-token-{id}"), "namespace": "kube-system" },
        "type": "bootstrap.kubernetes.io/token", "data": data,
    })
}
