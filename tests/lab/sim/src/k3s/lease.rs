//! The lease by which a node says that it lives.

use super::client::Client;
use super::store::NODE_LEASES;
use crate::{clock, log};
use hyper::StatusCode;
use serde_json::json;

/// How long a lease holds, seconds.
const HOLDS: u32 = 40;

/// Renews the lease of the node `name`, or makes it.
pub async fn renew(api: &Client, name: &str) {
    let all = format!("/apis/coordination.k8s.io/v1/namespaces/{NODE_LEASES}/leases");
    let lease = json!({
        "kind": "Lease", "apiVersion": "coordination.k8s.io/v1",
        "metadata": { "name": name, "namespace": NODE_LEASES },
        "spec": { "holderIdentity": name, "leaseDurationSeconds": HOLDS, "renewTime": clock::now_micro() },
    });
    let merge = [("Content-Type", "application/merge-patch+json")];
    let change = json!({ "spec": lease["spec"] }).to_string();
    let mut answer = api.send("PATCH", &format!("{all}/{name}"), &merge, change).await;
    if answer.as_ref().is_ok_and(|answer| answer.code == StatusCode::NOT_FOUND) {
        answer = api.send("POST", &all, &[], lease.to_string()).await;
    }
    let why = match answer {
        Ok(answer) if answer.code.is_success() => return,
        Ok(answer) => answer.text(),
        Err(error) => format!("{error:#}"),
    };
    log::kubelet_error("controller.go:195", format!("\"Failed to update lease\" err=\"{why}\""));
}
