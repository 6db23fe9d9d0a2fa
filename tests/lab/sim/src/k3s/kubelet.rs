//! The kubelet: what it checks before it starts, how it registers, how it beats.

mod arguments;

use super::client::Client;
use super::flags::{Options, Role};
use super::lease;
use super::node::{self, Condition};
use crate::log;
use crate::settings::Settings;
use crate::stamp::Version;
use hyper::StatusCode;
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};
use tokio::sync::watch;

const MERGE: &[(&str, &str)] = &[("Content-Type", "application/strategic-merge-patch+json")];

/// How soon a kubelet looks again whether there is a network.
const NETWORK_POLL: Duration = Duration::from_millis(200);

/// The kernel settings that `protect-kernel-defaults` wants.
const KERNEL: &[(&str, &str)] = &[
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// A kubelet that could start.
pub struct Kubelet {
    /// Of which kind its host is.
    pub role: Role,
    /// The options of its host.
    pub options: Options,
    /// The version that it reports.
    pub version: Version,
    /// How fast it is.
    pub settings: Settings,
    /// Its addresses.
    pub addresses: Vec<String>,
}

impl Kubelet {
    /// Does what the kubelet does before anything else.
    ///
    /// # Errors
    /// It does not start, and k3s with it; the reason has been logged.
    pub fn check(&self) -> Result<(), ()> {
        let reserved = reserved_labels(&self.options.list("node-label"));
        if !reserved.is_empty() {
            let list = reserved.join(" ");
            let text = format!(
                "failed to validate kubelet flags: unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels: [{list}]\\n--node-labels in the 'kubernetes.io' namespace must begin with an allowed prefix (kubelet.kubernetes.io, node.kubernetes.io)"
            );
            log::kubelet_error(
                "server.go:302",
                format!(
                    "\"Failed to validate kubelet flags\" err=\"{}\"",
                    text.trim_start_matches("failed to validate kubelet flags: ")
                ),
            );
            log::error(format!("kubelet exited: {text}"));
            return Err(());
        }
        if let Err(error) = arguments::check(&self.options, &self.version) {
            log::kubelet_error("run.go:72", format!("\"command failed\" err=\"{error}\""));
            log::error(format!("kubelet exited: {error}"));
            return Err(());
        }
        if let Some(wrong) = malformed_gate(&self.options) {
            log::error(wrong);
            return Err(());
        }
        if self.options.on("protect-kernel-defaults") {
            return check_kernel();
        }
        set_kernel();
        Ok(())
    }

    /// Registers the node and beats for ever; Ready not before there is a `network`.
    pub async fn run(&self, api: &Client, network: watch::Receiver<bool>) {
        self.register(api).await;
        let name = node::name(&self.options);
        let path = format!("/api/v1/nodes/{name}/status");
        let mut condition = Condition::Starting;
        let started = Instant::now();
        let mut transition = node::conditions(condition);
        loop {
            let due = started.elapsed() >= self.settings.ready && *network.borrow();
            if due && condition == Condition::Starting {
                condition = Condition::Ready;
                transition = node::conditions(condition);
            }
            let mut conditions = node::conditions(condition);
            keep_transitions(&mut conditions, &transition);
            let beat = json!({ "status": { "conditions": conditions } }).to_string();
            lease::renew(api, &name).await;
            match api.send("PATCH", &path, MERGE, beat).await {
                Ok(answer) if answer.code.is_success() => {}
                Ok(answer) if answer.code == StatusCode::NOT_FOUND => {
                    let text = format!(
                        "\"Error updating node status, will retry\" err=\"error getting node \\\"{name}\\\": nodes \\\"{name}\\\" not found\""
                    );
                    log::kubelet_error("kubelet_node_status.go:540", text);
                }
                Ok(answer) => log::kubelet_error("kubelet_node_status.go:540", answer.text()),
                Err(error) => {
                    let text =
                        format!("\"Error updating node status, will retry\" err=\"{error:#}\"");
                    log::kubelet_error("kubelet_node_status.go:540", text);
                }
            }
            let left = self.settings.ready.saturating_sub(started.elapsed());
            tokio::time::sleep(match condition {
                Condition::Ready => self.settings.heartbeat,
                Condition::Starting => left.max(NETWORK_POLL),
            })
            .await;
        }
    }

    async fn register(&self, api: &Client) {
        let object = node::object(self.role, &self.options, &self.version, &self.addresses);
        let name = node::name(&self.options);
        log::info(format!("Attempting to register node {name}"));
        loop {
            match api.send("POST", "/api/v1/nodes", &[], object.to_string()).await {
                Ok(answer) if answer.code.is_success() => return,
                Ok(answer) if answer.code == StatusCode::CONFLICT => {
                    self.refresh(api, &name, &object).await;
                    return;
                }
                Ok(answer) => log::kubelet_error("kubelet_node_status.go:107", answer.text()),
                Err(error) => {
                    let text = format!(
                        "\"Unable to register node with API server\" err=\"{error:#}\" node=\"{name}\""
                    );
                    log::kubelet_error("kubelet_node_status.go:107", text);
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    // A known node keeps its labels and taints: those count at registration only.
    async fn refresh(&self, api: &Client, name: &str, object: &Value) {
        let path = format!("/api/v1/nodes/{name}");
        let mut annotations =
            json!({ "metadata": { "annotations": object["metadata"]["annotations"] } });
        super::gpus::forget(&mut annotations["metadata"]["annotations"]);
        let _ = api.send("PATCH", &path, MERGE, annotations.to_string()).await;
        let status = json!({ "status": object["status"] }).to_string();
        let _ = api.send("PATCH", &format!("{path}/status"), MERGE, status).await;
    }
}

fn keep_transitions(conditions: &mut Value, transition: &Value) {
    let new = conditions.as_array_mut().into_iter().flatten();
    for (one, old) in new.zip(transition.as_array().into_iter().flatten()) {
        one["lastTransitionTime"] = old["lastTransitionTime"].clone();
    }
}

fn reserved_labels(labels: &[String]) -> Vec<String> {
    const ALLOWED: &[&str] = &[
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/instance-type",
        "beta.kubernetes.io/os",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "kubernetes.io/arch",
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "node.kubernetes.io/instance-type",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    ];
    let within =
        |space: &str, domain: &str| space == domain || space.ends_with(&format!(".{domain}"));
    let mut reserved: Vec<String> = labels
        .iter()
        .map(|label| label.split('=').next().unwrap_or_default())
        .filter(|key| {
            let space = key.split_once('/').map(|(space, _)| space).unwrap_or_default();
            let guarded = within(space, "kubernetes.io") || within(space, "k8s.io");
            let open = ["kubelet.kubernetes.io", "node.kubernetes.io"]
                .iter()
                .any(|allowed| within(space, allowed));
            guarded && !open && !ALLOWED.contains(key)
        })
        .map(str::to_owned)
        .collect();
    reserved.sort();
    reserved
}

/// Says what the first part with a feature gate that is neither on nor off says of it.
fn malformed_gate(options: &Options) -> Option<String> {
    ["kubelet", "kube-proxy"].into_iter().find_map(|part| {
        let gates = options.component_argument(&format!("{part}-arg"), "feature-gates")?;
        let wrong = gates.split(',').find(|gate| !gate.contains('='))?;
        Some(format!(
            "{part} exited: invalid argument {gates:?} for \"--feature-gates\" flag: missing bool value for {wrong}"
        ))
    })
}

fn check_kernel() -> Result<(), ()> {
    let wrong: Vec<String> = KERNEL
        .iter()
        .filter_map(|(key, wanted)| {
            let actual = fs::read_to_string(format!("/proc/sys/{key}")).ok()?;
            let actual = actual.trim();
            (actual != *wanted).then(|| {
                format!(
                    "invalid kernel flag: {key}, expected value: {wanted}, actual value: {actual}"
                )
            })
        })
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let list = wrong.join(", ");
    log::kubelet_error(
        "kubelet.go:1703",
        format!("\"Failed to start ContainerManager\" err=\"[{list}]\""),
    );
    Err(())
}

// The kubelet sets what it may. Here only where the host has files of its own in the place of
// the kernel's: in a container the keys under kernel and vm are the machine's.
fn set_kernel() {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for (key, wanted) in KERNEL {
        let path = format!("/proc/sys/{key}");
        if is_private(&mounts, &path) {
            let _ = fs::write(&path, format!("{wanted}\n"));
        }
    }
}

// Whether the innermost mount that holds `path` is not procfs.
fn is_private(mounts: &str, path: &str) -> bool {
    let holds = |point: &str| {
        path.strip_prefix(point).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let found = mounts.lines().filter_map(|line| {
        let point = line.split(' ').nth(4)?;
        let kind = line.split_once(" - ")?.1.split(' ').next()?;
        holds(point).then_some((point.len(), kind))
    });
    found.max_by_key(|(length, _)| *length).is_some_and(|(_, kind)| kind != "proc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_machine_are_not_private() {
        let machine =
            "22 1 0:21 / /proc rw - proc proc rw\n23 22 0:22 / /proc/sys rw - proc proc rw\n";
        let host = format!("{machine}24 23 0:30 /x /proc/sys/kernel rw - tmpfs tmpfs rw\n");
        assert!(!is_private(machine, "/proc/sys/kernel/panic"));
        assert!(is_private(&host, "/proc/sys/kernel/panic"));
        assert!(!is_private(&host, "/proc/sys/vm/panic_on_oom"));
    }

    #[test]
    fn labels_of_kubernetes_are_refused_but_for_the_allowed_ones() {
        let given = [
            "node-role.kubernetes.io/worker=true",
            "node.kubernetes.io/x=1",
            "topology.kubernetes.io/zone=a",
            "oceanid.dev/gpu=true",
            "x.k8s.io/y=1",
        ]
        .map(str::to_owned);
        let refused = reserved_labels(&given);
        assert_eq!(refused, ["node-role.kubernetes.io/worker", "x.k8s.io/y"]);
    }
}
