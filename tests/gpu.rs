//! A node with a GPU, from bare to a CUDA call, and every reason why not; needs root.

#[path = "support/lab.rs"]
mod operator;

use lab::{DRIVER, HostSpec, Release, Topology};
use operator::{Operator, Said};

const NODE: &str = "calypso";
/// The driver after an update.
const NEWER: &str = "580.119.02";
const KUBECTL: &str = "/usr/local/bin/k3s kubectl";
const VERSION: &str = "/run/lab-gpu/driver/nvidia/version";

#[test]
fn a_gpu_is_there_for_pods_or_it_is_said_why_not() {
    let operator = Operator::before(Topology::of(vec![
        HostSpec::new("tethys"),
        HostSpec::new(NODE).release(Release::Debian13).gpu(),
    ]));
    operator.edit(|table| {
        table.retain(|key, _| !["gpu", "triton", "tunnel"].contains(&key));
        let digest = format!("sha256:{}", "0".repeat(64));
        let gpu = format!(
            "taint = true\nprove = true\nplugin = \"lab.example/k8s-device-plugin@{digest}\"\n\
             prove-image = \"lab.example/vectoradd@{digest}\"\n"
        );
        table.insert("gpu".to_owned(), gpu.parse::<toml::Table>().expect("TOML").into());
        let nodes = table["node"].as_array_mut().expect("nodes");
        for node in nodes {
            node.as_table_mut().expect("a node").remove("taints");
        }
    });
    another_key_than_the_right_one_lands_nowhere(&operator);
    a_bare_node_comes_to_a_cuda_call(&operator);
    unchanged(&operator);
    what_is_wrong_with_a_driver_is_said_and_nothing_is_touched(&operator);
    another_driver_makes_another_specification(&operator);
    a_runtime_that_comes_later_restarts_k3s_once(&operator);
    pods_share_a_gpu_or_get_none(&operator);
}

fn exec(operator: &Operator, host: &str, command: &str) -> String {
    operator.lab.host(host).exec(command).expect("it works").trim().to_owned()
}

fn gpu(operator: &Operator, change: impl FnOnce(&mut toml::Table)) {
    operator.edit(|table| change(table["gpu"].as_table_mut().expect("a table")));
}

fn starts(operator: &Operator) -> usize {
    let count =
        "journalctl --sync; journalctl -q -b -u k3s-agent -o cat | grep -c 'Starting k3s ' || :";
    exec(operator, NODE, count).parse().expect("a number")
}

fn allocatable(operator: &Operator) -> String {
    let given = node(operator)["status"]["allocatable"]["nvidia.com/gpu"].clone();
    given.as_str().expect("it is shown").to_owned()
}

fn node(operator: &Operator) -> serde_json::Value {
    let text = exec(operator, "tethys", &format!("{KUBECTL} get node {NODE} -o json"));
    serde_json::from_str(&text).expect("JSON")
}

fn unchanged(operator: &Operator) {
    let started = starts(operator);
    let second = operator.run(&["bootstrap", "--yes"]).exits(0);
    assert!(second.stderr.contains("2 hosts: 2 unchanged, 0 changed"), "{}", second.stderr);
    assert_eq!(starts(operator), started);
}

/// Only what is said of a failure, without addresses.
fn failure(operator: &Operator, said: &Said) -> String {
    let url = operator.lab.releases().expect("a server").url();
    let text = said.stderr.replace(&url, "http://[lab]");
    let from = text.find("error:").unwrap_or_default();
    let until = text.rfind("\n2 hosts:").unwrap_or(text.len());
    text[from..until]
        .lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
        .trim_end()
        .to_owned()
}

fn another_key_than_the_right_one_lands_nowhere(operator: &Operator) {
    let text = std::fs::read_to_string(operator.file()).expect("written before");
    let mut right = String::new();
    operator.edit(|table| {
        let print = &mut table["sources"]["nvidia-fingerprint"];
        print.as_str().expect("a fingerprint").clone_into(&mut right);
        *print = "C95B321B61E88C1809C4F759DDCAE044F796ECB0".into();
    });
    let said = operator.run(&["bootstrap", NODE, "--yes", "--only", "prepare,nvidia"]).exits(1);
    let shown = failure(operator, &said).replace(&right, "[the key's own]");
    insta::assert_snapshot!("another_key", shown);
    let left = "ls /usr/share/keyrings/nvidia* /etc/apt/sources.list.d/nvidia* /usr/bin/nvidia-ctk 2>/dev/null || :";
    assert_eq!(exec(operator, NODE, left), "");
    std::fs::write(operator.file(), text).expect("the folder is ours");
}

fn a_bare_node_comes_to_a_cuda_call(operator: &Operator) {
    operator.run(&["bootstrap", "--yes"]).exits(0);
    assert_eq!(allocatable(operator), "1");
    let node = node(operator);
    assert_eq!(node["metadata"]["labels"]["nvidia.com/gpu.present"], "true");
    let taints = node["spec"]["taints"].as_array().expect("taints");
    assert!(
        taints.iter().any(|taint| taint["key"] == "nvidia.com/gpu" && taint["value"] == "present"),
        "{taints:?}"
    );
    let proof = node["metadata"]["annotations"]["oceanid.io/cuda"].as_str().expect("it was proved");
    assert!(proof.starts_with(&format!("driver {DRIVER}, lab.example/vectoradd@")), "{proof}");
    let pods = format!("{KUBECTL} get pods -n nvidia-device-plugin -o name");
    assert_eq!(exec(operator, "tethys", &pods), "", "the pod is gone");
    let held = exec(operator, NODE, "apt-mark showhold");
    assert_eq!(held.lines().count(), 4, "{held}");
    assert_eq!(starts(operator), 1);
    let devices = exec(operator, NODE, "nvidia-ctk cdi list");
    assert!(devices.contains("nvidia.com/gpu=all"), "{devices}");
    let facts = operator.run(&["facts", NODE]).exits(0);
    let lines = facts.stdout.lines().filter(|line| line.trim().starts_with("gpu "));
    insta::assert_snapshot!("facts", lines.collect::<Vec<_>>().join("\n"));
    let other = operator.run(&["facts", "tethys"]).exits(0);
    assert!(!other.stdout.contains("gpu"), "{}", other.stdout);
}

fn what_is_wrong_with_a_driver_is_said_and_nothing_is_touched(operator: &Operator) {
    let started = starts(operator);
    let libraries =
        "cd /usr/lib/x86_64-linux-gnu; for name in libcuda libnvidia-ml; do mv $name.so";
    let cases = [
        (
            "no_driver",
            format!("mv {VERSION} {VERSION}.away"),
            format!("mv {VERSION}.away {VERSION}"),
        ),
        (
            "two_versions",
            format!("{libraries}.{DRIVER} $name.so.{NEWER}; done"),
            format!("{libraries}.{NEWER} $name.so.{DRIVER}; done"),
        ),
        (
            "none_on_the_bus",
            "mv /run/lab-gpu/pci/0000:01:00.0 /run/lab-gpu/away".to_owned(),
            "mv /run/lab-gpu/away /run/lab-gpu/pci/0000:01:00.0".to_owned(),
        ),
    ];
    for (name, breaks, mends) in cases {
        exec(operator, NODE, &breaks);
        let said = operator.run(&["bootstrap", "--yes"]).exits(1);
        insta::assert_snapshot!(name, failure(operator, &said));
        exec(operator, NODE, &mends);
    }
    gpu(operator, |gpu| drop(gpu.insert("count".to_owned(), 2.into())));
    let said = operator.run(&["bootstrap", "--yes"]).exits(1);
    insta::assert_snapshot!("another_count", failure(operator, &said));
    gpu(operator, |gpu| drop(gpu.remove("count")));
    assert_eq!(starts(operator), started);
    assert_eq!(exec(operator, NODE, "systemctl is-active k3s-agent"), "active");
    unchanged(operator);
}

fn another_driver_makes_another_specification(operator: &Operator) {
    let started = starts(operator);
    exec(
        operator,
        NODE,
        &format!(
            "sed -i s/{DRIVER}/{NEWER}/ {VERSION}; cd /usr/lib/x86_64-linux-gnu; \
             for name in libcuda libnvidia-ml; do mv $name.so.{DRIVER} $name.so.{NEWER}; done"
        ),
    );
    let run = operator.run(&["bootstrap", "--yes", "--json"]).exits(0);
    let done = run.events("change-done");
    let subjects: Vec<_> = done.iter().map(|event| event["subject"].as_str()).collect();
    let wanted = ["CDI specification /etc/cdi/nvidia.yaml", "CUDA call on node calypso"].map(Some);
    assert_eq!(subjects, wanted);
    assert_eq!(starts(operator), started);
    let spec = exec(operator, NODE, "cat /etc/cdi/nvidia.yaml");
    assert!(spec.contains(&format!("libcuda.so.{NEWER}")), "{spec}");
}

/// As on a node whose k3s is older than its GPU; a template of somebody is told of.
fn a_runtime_that_comes_later_restarts_k3s_once(operator: &Operator) {
    exec(
        operator,
        NODE,
        "apt-mark -q unhold 'nvidia-container-*' 'libnvidia-container*' >/dev/null; \
         dpkg --purge nvidia-container-toolkit nvidia-container-toolkit-base libnvidia-container-tools \
         libnvidia-container1 >/dev/null; rm /etc/cdi/nvidia.yaml; systemctl restart k3s-agent; \
         printf '{{ template \"base\" . }}' >/var/lib/rancher/k3s/agent/etc/containerd/config.toml.tmpl",
    );
    let lacks = "for try in $(seq 40); do grep -q nvidia /var/lib/rancher/k3s/agent/etc/containerd/config.toml || exit 0; sleep 0.5; done; exit 1";
    exec(operator, NODE, lacks);
    let started = starts(operator);
    let plan = operator.run(&["plan"]).exits(0);
    let flat = plan.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in [
        "k3s is restarted once NVIDIA's runtime is there",
        "from config.toml.tmpl, which somebody left",
    ] {
        assert!(flat.contains(said), "{}", plan.stdout);
    }
    let run = operator.run(&["bootstrap", "--yes", "--json"]).exits(0);
    let restarts = "restart: its containerd does not know NVIDIA's runtime";
    let done = run.events("change-done");
    assert!(done.iter().any(|event| event["summary"] == restarts), "{}", run.stdout);
    assert_eq!(starts(operator), started + 1);
    assert_eq!(allocatable(operator), "1");
    unchanged(operator);
}

fn pods_share_a_gpu_or_get_none(operator: &Operator) {
    gpu(operator, |gpu| {
        gpu.insert("sharing".to_owned(), "time-slicing".into());
        gpu.insert("replicas".to_owned(), 4.into());
    });
    let started = starts(operator);
    operator.run(&["bootstrap", "--yes", "--only", "gpu"]).exits(0);
    assert_eq!(allocatable(operator), "4");
    unchanged(operator);
    gpu(operator, |gpu| {
        gpu.insert("sharing".to_owned(), "triton-only".into());
        gpu.retain(|key, _| !["replicas", "prove"].contains(&key));
    });
    operator.edit(|table| {
        let triton = "image = \"triton:26.02-py3\"\nmodels = \"/models\"\n";
        table.insert("triton".to_owned(), triton.parse::<toml::Table>().expect("TOML").into());
    });
    operator.run(&["bootstrap", "--yes", "--only", "gpu"]).exits(0);
    let sets = format!("{KUBECTL} get daemonsets -n nvidia-device-plugin -o name");
    assert_eq!(exec(operator, "tethys", &sets), "");
    let again = operator.run(&["bootstrap", "--yes", "--only", "gpu,baseline"]).exits(0);
    assert!(again.stderr.contains("0 changed"), "{}", again.stderr);
    assert_eq!(starts(operator), started);
}
