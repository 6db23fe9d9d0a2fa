//! The API: nodes read, patched and deleted, through curl and kubectl.

use crate::ground::{Host, condition, said, server};
use serde_json::{Value, json};
use std::process::Command;

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

fn patch(host: &Host, kind: &str, change: &Value) -> (u16, Value) {
    let arguments = format!("-X PATCH -H 'Content-Type: {kind}' -d '{change}'");
    host.api(&arguments, "/api/v1/nodes/tethys")
}

fn ready_server() -> Host {
    let host = server("cluster-init: true\n");
    host.node_is("tethys", "True");
    host
}

/// Kubernetes API conventions; what `status` and `verify` read.
#[test]
fn a_node_says_what_it_is() {
    let host = ready_server();
    let (code, list) = host.api("", "/api/v1/nodes");
    assert_eq!(
        (code, list["kind"].as_str(), list["apiVersion"].as_str()),
        (200, Some("NodeList"), Some("v1"))
    );
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
    let node = host.node("tethys").expect("the node");
    assert_eq!((&node["kind"], &node["apiVersion"]), (&json!("Node"), &json!("v1")));
    for field in ["uid", "resourceVersion", "creationTimestamp"] {
        assert!(node["metadata"][field].is_string(), "{field}");
    }
    for kind in ["MemoryPressure", "DiskPressure", "PIDPressure"] {
        assert_eq!(condition(&node, kind), Some("False"));
    }
    let info = &node["status"]["nodeInfo"];
    for field in ["machineID", "kernelVersion", "osImage", "kubeletVersion", "architecture"] {
        assert!(info[field].is_string(), "{field}");
    }
    let said = host.must("k3s --version");
    assert!(said.contains(info["kubeletVersion"].as_str().expect("a version")), "{said}");
    for field in ["cpu", "memory", "pods"] {
        assert!(node["status"]["capacity"][field].is_string(), "{field}");
        assert!(node["status"]["allocatable"][field].is_string(), "{field}");
    }
    assert!(node["spec"]["podCIDR"].as_str().is_some_and(|cidr| cidr.starts_with("10.42.")));
}

/// Kubernetes API conventions: the names of secrets without the secrets.
#[test]
fn lists_of_metadata_tell_no_secrets() {
    let host = ready_server();
    let accept = "-H 'Accept: application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1'";
    let (code, list) = host.api(accept, "/api/v1/namespaces/kube-system/secrets");
    assert_eq!((code, list["kind"].as_str()), (200, Some("PartialObjectMetadataList")));
    let items = list["items"].as_array().expect("items");
    assert!(items.iter().any(|one| one["metadata"]["name"] == "tethys.node-password.k3s"));
    assert!(items.iter().all(|one| one.get("data").is_none()), "{list}");
}

/// Kubernetes API conventions: merge patch, strategic merge patch, null deletes.
#[test]
fn patches_change_labels_and_replace_taints() {
    let host = ready_server();
    for kind in [MERGE, STRATEGIC] {
        let (code, node) =
            patch(&host, kind, &json!({ "metadata": { "labels": { "a": "1", "b": "2" } } }));
        assert_eq!((code, &node["metadata"]["labels"]["a"]), (200, &json!("1")));
        let (code, node) = patch(&host, kind, &json!({ "metadata": { "labels": { "a": null } } }));
        assert_eq!(code, 200);
        assert!(node["metadata"]["labels"].get("a").is_none());
        assert_eq!(node["metadata"]["labels"]["b"], "2");
        let taints =
            json!([{ "key": "x", "value": kind.len().to_string(), "effect": "NoSchedule" }]);
        let (code, node) = patch(&host, kind, &json!({ "spec": { "taints": taints } }));
        assert_eq!((code, &node["spec"]["taints"]), (200, &taints));
    }
}

/// Kubernetes API conventions: optimistic locking and the reasons of failures.
#[test]
fn mistakes_are_answered_with_their_reason() {
    let host = ready_server();
    let stale = json!({ "metadata": { "resourceVersion": "1", "labels": { "a": "1" } } });
    let (code, status) = patch(&host, MERGE, &stale);
    assert_eq!((code, status["reason"].as_str()), (409, Some("Conflict")));
    let (code, status) = patch(&host, MERGE, &json!({ "metadata": { "labels": { "a": "b c" } } }));
    assert_eq!((code, status["reason"].as_str()), (422, Some("Invalid")));
    let taints = json!([{ "key": "a", "effect": "Never" }]);
    assert_eq!(patch(&host, MERGE, &json!({ "spec": { "taints": taints } })).0, 422);
    assert_eq!(patch(&host, "application/x-nonesuch", &json!({})).0, 415);
    let (code, status) = host.api("", "/api/v1/nodes/nonesuch");
    assert_eq!((code, status["reason"].as_str()), (404, Some("NotFound")));
    assert_eq!(status["message"], "nodes \"nonesuch\" not found");
    assert_eq!(status["details"]["kind"], "nodes");
    assert_eq!(host.api("-X DELETE", "/api/v1/nodes/nonesuch").0, 404);
}

/// A certificate of another authority is no credential.
#[test]
fn a_foreign_certificate_is_unauthorized() {
    let host = ready_server();
    let make = "openssl req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -subj /O=system:masters/CN=x 2>/dev/null";
    let ask = "curl -sk -o /dev/null -w '%{http_code}' --cert c.pem --key k.pem https://127.0.0.1:6443/api/v1/nodes";
    assert_eq!(host.must(&format!("cd /etc/rancher; {make}; {ask}")), "401");
}

/// observed: a label a second time without `--overwrite`: exit 1.
#[test]
fn kubectl_labels_and_taints() {
    let host = ready_server();
    let label = "k3s kubectl label node tethys node-role.kubernetes.io/worker=true";
    assert!(host.must(label).contains("node/tethys labeled"));
    let other = host.run("k3s kubectl label node tethys node-role.kubernetes.io/worker=no");
    assert_eq!(other.status.code(), Some(1));
    let text = "already has a value (true), and --overwrite is false";
    assert!(said(&other).contains(text), "{}", said(&other));
    host.must("k3s kubectl label node tethys node-role.kubernetes.io/worker=no --overwrite");
    host.must("k3s kubectl label node tethys node-role.kubernetes.io/worker-");
    assert!(host.must("k3s kubectl taint node tethys a=b:NoSchedule").contains("tainted"));
    let again = host.run("k3s kubectl taint node tethys a=c:NoSchedule");
    assert!(!again.status.success() && said(&again).contains("--overwrite is false"));
    host.must("k3s kubectl taint node tethys a=c:NoSchedule --overwrite");
    host.must("k3s kubectl taint node tethys a:NoSchedule-");
    let gone = host.run("k3s kubectl get node nonesuch");
    assert_eq!(gone.status.code(), Some(1));
    assert!(said(&gone).contains("Error from server (NotFound): nodes \"nonesuch\" not found"));
}

/// What scripts parse: tables, names, JSON.
#[test]
fn kubectl_prints_nodes() {
    let host = ready_server();
    let table = host.must("k3s kubectl get nodes");
    let header: Vec<&str> = table.lines().next().expect("a header").split_whitespace().collect();
    assert_eq!(header, ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]);
    assert!(
        table
            .lines()
            .nth(1)
            .is_some_and(|row| row.starts_with("tethys") && row.contains(" Ready "))
    );
    assert_eq!(host.must("k3s kubectl get nodes -o name").trim(), "node/tethys");
    let list: Value =
        serde_json::from_str(&host.must("k3s kubectl get nodes -o json")).expect("JSON");
    assert_eq!(list["kind"], "List");
    assert_eq!(list["items"][0]["kind"], "Node");
    let one: Value =
        serde_json::from_str(&host.must("k3s kubectl get node tethys -o json")).expect("JSON");
    assert_eq!(one["metadata"]["name"], "tethys");
    host.must("k3s kubectl wait --for=condition=Ready node/tethys --timeout=60s");
}

/// A second opinion on the API: the kubectl of Kubernetes itself.
#[test]
fn the_kubectl_of_kubernetes_understands_the_api() {
    if !Command::new("kubectl")
        .args(["version", "--client"])
        .output()
        .is_ok_and(|out| out.status.success())
    {
        eprintln!("SKIPPED the_kubectl_of_kubernetes_understands_the_api: no kubectl here");
        return;
    }
    let host = ready_server();
    let kubectl = "kubectl --kubeconfig /etc/rancher/k3s/k3s.yaml";
    host.must(&format!("{kubectl} label node tethys seen-by=kubectl"));
    host.must(&format!("{kubectl} taint node tethys a=b:PreferNoSchedule"));
    host.must(&format!("{kubectl} wait --for=condition=Ready node/tethys --timeout=60s"));
    let theirs = host.must(&format!("{kubectl} get nodes -o name"));
    assert_eq!(theirs, host.must("k3s kubectl get nodes -o name"));
    let columns = |text: String| -> Vec<String> {
        let row = text.lines().nth(1).unwrap_or_default().to_owned();
        row.split_whitespace()
            .enumerate()
            .filter(|(at, _)| *at != 3)
            .map(|(_, cell)| cell.to_owned())
            .collect()
    };
    let theirs = columns(host.must(&format!("{kubectl} get nodes -o wide")));
    assert_eq!(theirs, columns(host.must("k3s kubectl get nodes -o wide")));
}
