//! What a cluster begins with: valid by Kubernetes' schemas, closed where it says so, and compared field by field.

mod compared;
mod flows;

use std::fs;
use std::path::Path;
use std::process::Command;

use oceanid::charts::Charts;
use oceanid::cluster::Cluster;
use oceanid::config::parse;
use oceanid::kube::object::{MANAGED_BY, MANAGER, Object};
use oceanid::steps::baseline::manifests;
use oceanid::steps::gpu;

/// Kinds that no schema of Kubernetes knows: what brings them checks them.
const CUSTOM: [&str; 6] = [
    "HelmChart",
    "HelmChartConfig",
    "ClusterIssuer",
    "GitRepository",
    "Kustomization",
    "Application",
];
/// The oldest and the newest Kubernetes that is supported.
const VERSIONS: [&str; 2] = ["1.34", "1.37"];

/// A cluster with everything but a second tool for repositories, which `gitops` is.
fn cluster(gitops: &str) -> Cluster {
    let text = format!(
        r#"[cluster]
name = "lab"
[k3s]
version = "v1.36.3+k3s1"
[[node]]
name = "one"
role = "server"
address = "192.0.2.1"
node-ip = "10.0.0.1"
[[node]]
name = "two"
role = "agent"
address = "192.0.2.2"
[baseline]
gateway-api = true
[baseline.cert-manager]
email = "ops@example.com"
token = {{ env = "NONESUCH" }}
[baseline.gitops]
{gitops}
"#
    );
    let loaded = parse("cluster.toml", &text);
    loaded.map_err(|wrong| wrong.to_string()).expect("it is valid").cluster
}

fn flux() -> Cluster {
    cluster("tool = \"flux\"\nrepository = \"ssh://git@git.example.com/it's.git\"\n")
}

fn argo_cd() -> Cluster {
    cluster("tool = \"argo-cd\"\nrepository = \"https://git.example.com/a.git\"\nbranch = \"on\"\n")
}

fn objects(cluster: &Cluster) -> Vec<Object> {
    manifests(cluster, &Charts::default()).expect("every manifest renders")
}

/// What clusters with a GPU get besides, whole or in turns.
fn device_plugins() -> Vec<Object> {
    let image = format!("nvcr.io/nvidia/k8s-device-plugin:v0.20.0@sha256:{}", "0".repeat(64));
    let all = ["", "sharing = \"time-slicing\"\nreplicas = 4\n"].map(|lines| {
        let text = format!(
            "[cluster]\nname = \"lab\"\n[k3s]\nversion = \"v1.36.3+k3s1\"\n[[node]]\nname = \"one\"\n\
             role = \"server\"\naddress = \"192.0.2.1\"\ngpu = true\n[gpu]\n{lines}"
        );
        let cluster = parse("cluster.toml", &text).expect("it is valid").cluster;
        gpu::manifests(&cluster.gpu.expect("it is there"), &image).expect("it renders")
    });
    let [whole, turns] = &all;
    assert_eq!((whole.len(), turns.len()), (3, 4), "turns take a configuration");
    all.concat()
}

#[test]
fn every_manifest_is_valid_for_the_oldest_and_the_newest_kubernetes() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = Vec::new();
    for (tool, cluster) in [("flux", flux()), ("argo-cd", argo_cd())] {
        for (number, object) in objects(&cluster).iter().enumerate() {
            let file = folder.path().join(format!("{tool}-{number}.json"));
            fs::write(&file, object.body.to_string()).expect("the folder is ours");
            files.push((file, object.kind.name));
        }
    }
    for (number, object) in device_plugins().iter().enumerate() {
        let file = folder.path().join(format!("gpu-{number}.json"));
        fs::write(&file, object.body.to_string()).expect("the folder is ours");
        files.push((file, object.kind.name));
    }
    assert!(files.len() > 100, "{}", files.len());
    let place =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("target/graders/kubernetes-validate-1.37.0");
    for version in VERSIONS {
        let verdict = Command::new("python3")
            .arg(place.join("bin/kubernetes-validate"))
            .args(["--strict", "-k", version])
            .args(files.iter().map(|(file, _)| file))
            .env("PYTHONPATH", &place)
            .output()
            .expect("python3 starts");
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&verdict.stdout),
            String::from_utf8_lossy(&verdict.stderr)
        );
        assert!(verdict.status.success(), "`tests/setup.sh` installs the schemas: {said}");
        let judged = files.iter().filter(|(_, kind)| !CUSTOM.contains(kind)).count();
        assert_eq!(said.matches("INFO").count(), judged, "by {version}: {said}");
    }
}

#[test]
fn everything_that_is_ours_says_so_and_every_version_is_pinned() {
    for cluster in [flux(), argo_cd()] {
        for object in objects(&cluster) {
            // Kubernetes makes these accounts: we only set a field of them.
            let borrowed = object.kind.name == "ServiceAccount" && object.name == "default";
            let label = object.mark("labels", MANAGED_BY);
            assert_eq!(label, (!borrowed).then_some(MANAGER), "{object}");
            if object.kind.name == "HelmChart" {
                let version = object.body["spec"]["version"].as_str().unwrap_or_default();
                assert!(version.trim_start_matches('v').split('.').count() == 3, "{object}");
                assert_eq!(object.body["spec"]["failurePolicy"], "abort", "{object}");
            }
        }
    }
}

#[test]
fn a_device_plugin_has_what_it_needs_and_nothing_else() {
    let all = device_plugins();
    assert!(all.iter().all(|object| object.mark("labels", MANAGED_BY) == Some(MANAGER)));
    for object in all.iter().filter(|object| object.kind.name == "DaemonSet") {
        let pod = &object.body["spec"]["template"]["spec"];
        assert_eq!(pod["runtimeClassName"], "nvidia");
        assert_eq!(pod["automountServiceAccountToken"], false);
        let container = &pod["containers"][0];
        assert!(container["image"].as_str().is_some_and(|image| image.contains("@sha256:")));
        assert!(container["securityContext"]["privileged"].is_null());
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
        let selector = &object.body["spec"]["selector"]["matchLabels"];
        assert_eq!(*selector, object.body["spec"]["template"]["metadata"]["labels"]);
    }
}

#[test]
fn text_of_the_operator_stays_text() {
    let all = objects(&flux());
    let repository = all.iter().find(|one| one.kind.name == "GitRepository").expect("it is there");
    assert_eq!(repository.body["spec"]["url"], "ssh://git@git.example.com/it's.git");
    assert_eq!(repository.body["spec"]["secretRef"]["name"], "repository");
    let all = objects(&argo_cd());
    let application = all.iter().find(|one| one.kind.name == "Application").expect("it is there");
    // To YAML 1.1 a bare `on` is a switch.
    assert_eq!(application.body["spec"]["source"]["targetRevision"], "on");
}

#[test]
fn roles_have_no_wildcards_and_viewers_see_no_secrets() {
    let all = objects(&flux());
    let roles: Vec<&Object> = all.iter().filter(|one| one.kind.name == "ClusterRole").collect();
    assert_eq!(roles.len(), 2);
    for role in roles {
        let text = role.body["rules"].to_string();
        assert!(!text.contains('*'), "{role}: {text}");
        for grave in ["escalate", "impersonate", "\"bind\"", "nodes/proxy", "pods/exec"] {
            assert!(!text.contains(grave), "{role}: {grave}");
        }
        if role.name == "oceanid-viewer" {
            assert!(!text.contains("secrets"), "{text}");
            for verb in ["create", "update", "patch", "delete"] {
                assert!(!text.contains(verb), "{verb}: {text}");
            }
        }
    }
}

#[test]
fn default_accounts_get_no_token() {
    let all = objects(&flux());
    let accounts: Vec<&Object> =
        all.iter().filter(|one| one.kind.name == "ServiceAccount").collect();
    for space in ["default", "kube-public", "kube-node-lease", "dmz", "data", "admin"] {
        assert!(accounts.iter().any(|one| one.namespace == space), "{space}");
    }
    for account in accounts {
        assert_eq!(account.body["automountServiceAccountToken"], false, "{account}");
    }
}

#[test]
fn listeners_of_the_gateway_are_traefiks_entry_points() {
    let all = objects(&flux());
    let config = all.iter().find(|one| one.kind.name == "HelmChartConfig").expect("it is there");
    let text = config.body["spec"]["valuesContent"].as_str().expect("text");
    let values: serde_json::Value = serde_saphyr::from_str(text).expect("YAML");
    assert_eq!(values["providers"]["kubernetesGateway"]["enabled"], true);
    let listeners = values["gateway"]["listeners"].as_object().expect("listeners");
    for (name, listener) in listeners {
        assert_eq!(listener["port"], values["ports"][name]["port"], "{name}");
    }
}
