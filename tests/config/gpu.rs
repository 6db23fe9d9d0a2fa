//! `[gpu]`: what is refused, what it gives nodes, and when pods and Triton would not know of each other.

use insta::assert_snapshot;
use oceanid::cluster::{Cluster, Pods, Taint};

use super::{EXAMPLE, LEAST, least_with, refused, replaced, said, valid};

/// The least with a GPU, and `lines` in `[gpu]`.
fn gpu(lines: &str) -> String {
    least_with(&format!("gpu = true\n[gpu]\n{lines}"))
}

const TRITON: &str =
    "[triton]\nimage = \"nvcr.io/nvidia/tritonserver:26.02-py3\"\nmodels = \"/m\"\n";

#[test]
fn a_bad_gpu_is_refused() {
    let cases = [
        ("runtime", "runtime = \"runc\"\n"),
        ("driver of words", "driver = \"latest\"\n"),
        ("driver's whole version", "driver = \"580.95.05\"\n"),
        ("driver of no branch", "driver = \"5\"\n"),
        ("toolkit of no package", "toolkit = \"1.20.0\"\n"),
        ("toolkit of words", "toolkit = \"1.x.0-1\"\n"),
        ("count", "count = 0\n"),
        ("default-runtime", "default-runtime = \"nvidia\"\n"),
        ("taint", "taint = \"nvidia.com/gpu=present:NoSchedule\"\n"),
        ("sharing", "sharing = \"time-slice\"\n"),
        ("replicas alone", "replicas = 4\n"),
        ("replicas of one", "sharing = \"time-slicing\"\nreplicas = 1\n"),
        ("no replicas", "sharing = \"time-slicing\"\n"),
        ("nobody uses it", "sharing = \"triton-only\"\n"),
        ("plugin", "plugin = \"nvcr.io/nvidia/k8s-device-plugin\"\n"),
        ("prove-image", "prove-image = \"cuda sample:1\"\n"),
        ("unknown", "tollkit = \"1.20.0-1\"\n"),
    ];
    assert_snapshot!(refused(cases.map(|(name, lines)| (name, gpu(lines)))));
    let proof = gpu("prove = true\nsharing = \"triton-only\"\n") + TRITON;
    let runtimes =
        replaced("[[node]]", "disable = [\"runtimes\"]\n[[node]]") + "gpu = true\n[gpu]\n";
    let print = gpu("") + "[sources]\nnvidia-fingerprint = \"DDCAE044F796ECB0\"\n";
    assert_snapshot!(
        "what_does_not_go_together",
        refused([("proof", proof), ("runtimes", runtimes), ("fingerprint", print)])
    );
}

#[test]
fn pods_and_triton_on_one_gpu_are_a_warning_until_somebody_chose() {
    let both = gpu("") + TRITON;
    assert_snapshot!(said(&both));
    for chosen in ["\"exclusive\"", "\"triton-only\"", "\"time-slicing\"\nreplicas = 2"] {
        assert_eq!(said(&(gpu(&format!("sharing = {chosen}\n")) + TRITON)), "", "{chosen}");
    }
    assert_eq!(said(&gpu("")), "");
    assert_snapshot!("an_old_toolkit", said(&gpu("toolkit = \"1.17.8-1\"\n")));
}

fn of(cluster: &Cluster) -> (Pods, u32) {
    let gpu = cluster.gpu.as_ref().expect("it is there");
    (gpu.pods, gpu.allocatable(2))
}

#[test]
fn what_pods_get_follows_from_how_a_gpu_is_shared() {
    assert_eq!(of(&valid(&gpu(""))), (Pods::Whole, 2));
    assert_eq!(of(&valid(&gpu("sharing = \"exclusive\"\n"))), (Pods::Whole, 2));
    let slices = valid(&gpu("sharing = \"time-slicing\"\nreplicas = 4\nprove = true\n"));
    assert_eq!(of(&slices), (Pods::Turns(4), 8));
    assert_eq!(
        slices.images(),
        [
            "nvcr.io/nvidia/k8s-device-plugin:v0.20.0",
            "nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0"
        ]
    );
    let example = valid(EXAMPLE);
    assert_eq!(of(&example), (Pods::Nothing, 0));
    assert_eq!(
        example.images(),
        ["nvcr.io/nvidia/tritonserver:26.02-py3"],
        "nobody pulls the rest"
    );
}

#[test]
fn nodes_with_a_gpu_are_labelled_and_tainted_like_any_other() {
    let host = |text: &str| valid(text).hosts.remove(0);
    let plain = host(&gpu(""));
    assert_eq!(plain.labels["nvidia.com/gpu.present"], "true");
    assert_eq!(plain.taints, []);
    let taint = |value: &str| Taint {
        key: "nvidia.com/gpu".to_owned(),
        value: value.to_owned(),
        effect: "NoSchedule".to_owned(),
    };
    assert_eq!(host(&gpu("taint = true\n")).taints, [taint("present")]);
    // What stands at the node goes before.
    let own = "gpu = true\ntaints = [\"nvidia.com/gpu=mine:NoSchedule\"]\n[gpu]\ntaint = true\n";
    assert_eq!(host(&least_with(own)).taints, [taint("mine")]);
    let other = host(&format!("{LEAST}[gpu]\ntaint = true\n"));
    assert!(other.labels.is_empty() && other.taints.is_empty());
}

#[test]
fn the_fingerprint_of_nvidia_is_known_and_may_be_written_as_gpg_shows_it() {
    let known = valid(LEAST).sources.nvidia_fingerprint;
    assert_eq!(known, "C95B321B61E88C1809C4F759DDCAE044F796ECB0");
    let spaced =
        "[sources]\nnvidia-fingerprint = \"c95b 321b 61e8 8c18 09c4  f759 ddca e044 f796 ecb0\"\n";
    assert_eq!(valid(&least_with(spaced)).sources.nvidia_fingerprint, known);
}
