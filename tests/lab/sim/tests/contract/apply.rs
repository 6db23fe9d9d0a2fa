//! Server-side apply: who owns which field, and what happens to the fields of others.

use crate::ground::{Host, server, until};
use serde_json::{Value, json};

const SPACE: &str = "/api/v1/namespaces/dmz";

fn apply(host: &Host, path: &str, query: &str, body: &Value) -> (u16, Value) {
    let arguments =
        format!("-X PATCH -H 'Content-Type: application/apply-patch+yaml' --data-binary '{body}'");
    host.api(&arguments, &format!("{path}?{query}pretty=false"))
}

fn space(labels: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": "dmz", "labels": labels } })
}

fn running() -> Host {
    let host = server("cluster-init: true\n");
    host.node_is("tethys", "True");
    host
}

/// The fields of the entry of a manager, as `managedFields` has it.
fn fields<'o>(object: &'o Value, manager: &str) -> Option<&'o Value> {
    let entries = object["metadata"]["managedFields"].as_array()?;
    Some(&entries.iter().find(|entry| entry["manager"] == manager)?["fieldsV1"])
}

/// Kubernetes documentation, server-side apply: created on apply, owned, let go of, shared.
#[test]
fn a_manager_owns_what_it_applies_and_what_it_lets_go_of_goes() {
    let host = running();
    let ours = "fieldManager=oceanid&";
    assert_eq!(apply(&host, SPACE, "", &space(&json!({}))).0, 422);
    let (code, made) = apply(&host, SPACE, ours, &space(&json!({ "a": "1", "b": "1" })));
    assert_eq!((code, made["metadata"]["labels"]["a"].as_str()), (201, Some("1")));
    assert_eq!(made["metadata"]["labels"]["kubernetes.io/metadata.name"], "dmz");
    let entry = &made["metadata"]["managedFields"][0];
    assert_eq!(
        (&entry["manager"], &entry["operation"], &entry["fieldsType"]),
        (&json!("oceanid"), &json!("Apply"), &json!("FieldsV1"))
    );
    let labels = &fields(&made, "oceanid").expect("ours")["f:metadata"]["f:labels"];
    assert!(labels.get("f:a").is_some() && labels.get("f:b").is_some(), "{labels}");
    assert!(labels.get("f:kubernetes.io/metadata.name").is_none(), "{labels}");
    let (code, again) = apply(&host, SPACE, ours, &space(&json!({ "a": "1", "b": "1" })));
    assert_eq!(code, 200);
    assert_eq!(again["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
    let (_, less) = apply(&host, SPACE, ours, &space(&json!({ "a": "1" })));
    assert!(less["metadata"]["labels"].get("b").is_none());
    let (_, bare) = apply(&host, SPACE, ours, &space(&json!({})));
    assert!(bare["metadata"]["labels"].get("a").is_none());
    until("the namespace's account", || {
        let (code, _) = host.api("", &format!("{SPACE}/serviceaccounts/default"));
        (code == 200).then_some(())
    });
    let missing = json!({ "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": { "name": "default", "namespace": "nonesuch" } });
    let path = "/api/v1/namespaces/nonesuch/serviceaccounts/default";
    let (code, status) = apply(&host, path, ours, &missing);
    assert_eq!(
        (code, status["message"].as_str()),
        (404, Some("namespaces \"nonesuch\" not found"))
    );
}

/// Kubernetes source, managedfields/internal/conflict.go: what a conflict says; no force, no change.
#[test]
fn another_managers_value_is_a_conflict_until_forced() {
    let host = running();
    let ours = "fieldManager=oceanid&";
    apply(&host, SPACE, ours, &space(&json!({ "a": "1", "b": "1" })));
    host.must("k3s kubectl label --overwrite namespace dmz a=2");
    let (code, status) = apply(&host, SPACE, ours, &space(&json!({ "a": "1", "b": "1" })));
    assert_eq!((code, status["reason"].as_str()), (409, Some("Conflict")));
    let message = status["message"].as_str().expect("a message");
    let text = "Apply failed with 1 conflict: conflict with \"kubectl-label\" using v1";
    assert!(message.starts_with(text), "{message}");
    assert!(message.ends_with(": .metadata.labels.a"), "{message}");
    let (_, kept) = host.api("", SPACE);
    assert_eq!(kept["metadata"]["labels"]["a"], "2");
    let gone = &fields(&kept, "oceanid").expect("ours")["f:metadata"]["f:labels"];
    assert!(gone.get("f:a").is_none() && gone.get("f:b").is_some(), "{gone}");
    let (code, forced) =
        apply(&host, SPACE, &format!("{ours}force=true&"), &space(&json!({ "a": "1" })));
    assert_eq!((code, forced["metadata"]["labels"]["a"].as_str()), (200, Some("1")));
    // Without a value there is nothing to be at odds with.
    host.must("k3s kubectl label namespace dmz a-");
    assert_eq!(apply(&host, SPACE, ours, &space(&json!({ "a": "1" }))).0, 200);
}

/// What oceanid looks for: by label, by name, without content; kinds that nothing defined yet.
#[test]
fn objects_are_found_by_label_and_name_and_secrets_without_their_content() {
    let host = running();
    let ours = "fieldManager=oceanid&";
    apply(&host, SPACE, ours, &space(&json!({ "app.kubernetes.io/managed-by": "oceanid" })));
    let query = "labelSelector=app.kubernetes.io/managed-by%3Doceanid&pretty=false";
    let (_, list) = host.api("", &format!("/api/v1/namespaces?{query}"));
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
    assert!(list["items"][0]["metadata"]["managedFields"].is_array());
    let policy = json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "name": "a", "namespace": "dmz" },
        "spec": { "podSelector": {}, "policyTypes": ["Ingress"] } });
    let path = "/apis/networking.k8s.io/v1/namespaces/dmz/networkpolicies/a";
    let (code, made) = apply(&host, path, ours, &policy);
    let spec = json!({ "f:podSelector": {}, "f:policyTypes": {} });
    assert_eq!((code, &fields(&made, "oceanid").expect("ours")["f:spec"]), (201, &spec));
    let named = "/api/v1/serviceaccounts?fieldSelector=metadata.name%3Ddefault&pretty=false";
    let (_, list) = until("accounts", || {
        let answer = host.api("", named);
        (answer.1["items"].as_array()?.len() >= 5).then_some(answer)
    });
    assert!(
        list["items"]
            .as_array()
            .is_some_and(|all| { all.iter().all(|one| one["metadata"]["name"] == "default") })
    );
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": { "name": "s", "namespace": "dmz" }, "data": { "k": "Y2FuYXJ5" } });
    let path = format!("{SPACE}/secrets/s");
    assert_eq!(apply(&host, &path, ours, &secret).0, 201);
    let accept = "-H 'Accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1'";
    let (code, part) = host.api(accept, &format!("{path}?pretty=false"));
    assert_eq!((code, part["kind"].as_str()), (200, Some("PartialObjectMetadata")));
    assert!(part.get("data").is_none());
    assert!(fields(&part, "oceanid").expect("ours")["f:data"].get("f:k").is_some());
    let lists = host.must(
        "cd /var/lib/rancher/k3s/server/tls; curl -s -o /dev/null -w '%{http_code}' --cacert server-ca.crt \
         --cert client-admin.crt --key client-admin.key https://127.0.0.1:6443/apis/cert-manager.io/v1/clusterissuers",
    );
    assert_eq!(lists, "404");
    let other = json!({ "preconditions": { "uid": "00000000-0000-4000-a000-000000000000" } });
    let arguments = format!("-X DELETE -H 'Content-Type: application/json' -d '{other}'");
    assert_eq!(host.api(&arguments, &path).0, 409);
    assert_eq!(host.api("-X DELETE", &path).0, 200);
}
