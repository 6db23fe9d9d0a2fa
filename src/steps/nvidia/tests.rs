use crate::cluster::Cluster;
use crate::config::parse;
use crate::facts::{self, Facts};
use crate::releases::Releases;
use crate::remote::Output;
use crate::step::Step;
use crate::steps::{self, Inputs, Terms};

const CARD: &str = "fact list gpu-smi\n0, RTX 4090, GPU-1, 580.95.05, 24564, 311, 4, 41, 8.9, Enabled\n\
    fact gpu-smi-status 0\n";
const BUS: &str = "fact gpu 0000:01:00.0 0x2684\n";

fn cluster(gpu: &str, triton: &str) -> Cluster {
    let text = format!(
        "[cluster]\nname = \"lab\"\n[k3s]\nversion = \"v1.36.3+k3s1\"\n[[node]]\nname = \"one\"\n\
         role = \"server\"\naddress = \"192.0.2.1\"\ngpu = true\n[gpu]\nsharing = \"exclusive\"\n{gpu}\n{triton}"
    );
    parse("cluster.toml", &text).map_err(|wrong| wrong.to_string()).unwrap().cluster
}

fn facts(os: &str, said: &str) -> Facts {
    let version = if os == "debian" { "13" } else { "24.04" };
    let stdout = format!(
        "fact clock 1.5\nfact os {os}\nfact os-version {version}\nfact machine x86_64\nfact kernel 6.1\nfact hostname a\n\
         fact machine-id 0\nfact cpus 2\nfact memory 1\nfact disk-free 1 1\n{said}fact gpu-asked yes\n"
    );
    facts::read(&Output { stdout, ..Output::default() }, 1.5).unwrap()
}

fn step(cluster: &Cluster, facts: &Facts) -> anyhow::Result<Step> {
    let entry = steps::ALL.iter().find(|entry| entry.name == "nvidia").unwrap();
    let host = cluster.first_server();
    assert!((entry.concerns)(cluster, host));
    (entry.build)(&Inputs {
        cluster,
        host,
        facts,
        nodes: &[host],
        first_server: None,
        datastore: None,
        gpus: None,
        releases: &Releases::default(),
        terms: Terms::default(),
    })
}

fn refused(gpu: &str, triton: &str, os: &str, said: &str) -> String {
    let error = step(&cluster(gpu, triton), &facts(os, said)).expect_err("it is refused");
    format!("{error:#}")
}

fn subjects(gpu: &str, os: &str, said: &str) -> Vec<String> {
    let step = step(&cluster(gpu, ""), &facts(os, said)).expect("a fit host");
    step.actions().iter().map(|action| action.subject()).collect()
}

const FAILED: &str = "fact list gpu-smi\nNVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n\
    fact gpu-smi-status 9\n";

#[test]
fn what_is_missing_is_said_with_the_commands_that_bring_it() {
    let nouveau = format!("{BUS}fact gpu-nouveau yes\nfact gpu-secure-boot   6   0   0   0   1\n");
    insta::assert_snapshot!("nouveau_and_secure_boot", refused("", "", "debian", &nouveau));
    let failed = format!("{BUS}{FAILED}");
    insta::assert_snapshot!("no_driver_on_ubuntu", refused("", "", "ubuntu", &failed));
    insta::assert_snapshot!("nothing_on_the_bus", refused("", "", "debian", ""));
}

#[test]
fn the_driver_must_be_what_triton_and_cluster_toml_want() {
    let works = format!("{BUS}{CARD}");
    let triton = "[triton]\nmodels = \"/m\"\nimage = \"nvcr.io/nvidia/tritonserver:26.06-py3\"\n";
    insta::assert_snapshot!("too_old_for_triton", refused("", triton, "debian", &works));
    let old = works.replace("580.95.05", "470.256.02");
    insta::assert_snapshot!("too_old_for_anything", refused("", "", "ubuntu", &old));
    insta::assert_snapshot!("another_runs", refused("driver = \"570\"", "", "debian", &works));
    let triton = triton.replace("26.06", "26.02");
    step(&cluster("", &triton), &facts("debian", &works)).expect("it is new enough");
}

#[test]
fn every_card_must_be_there() {
    let two = format!("{BUS}fact gpu 0000:02:00.0 0x2684\n{CARD}");
    insta::assert_snapshot!("one_card_is_lost", refused("", "", "debian", &two));
    insta::assert_snapshot!("more_than_expected", refused("count = 1", "", "debian", &two));
}

#[test]
fn two_versions_want_a_reboot_which_nobody_makes() {
    let said = format!(
        "{BUS}fact gpu-driver NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue\n\
         fact list gpu-smi\nFailed to initialize NVML: Driver/library version mismatch\n\
         NVML library version: 580.119\nfact gpu-smi-status 18\n"
    );
    for gpu in ["", "driver = \"580\""] {
        insta::assert_snapshot!("two_versions", refused(gpu, "", "debian", &said));
    }
}

#[test]
fn a_driver_is_installed_only_where_that_is_said() {
    let bare = subjects("driver = \"550\"", "debian", BUS);
    assert_eq!(bare[..2], ["packages nvidia-kernel-dkms and 2 more", "driver of the GPU"]);
    let ubuntu = subjects("driver = \"580\"", "ubuntu", BUS);
    assert_eq!(ubuntu[0], "packages nvidia-headless-580-server and 1 more");
    let works = subjects("", "debian", &format!("{BUS}{CARD}fact gpu-persistenced yes\n"));
    assert_eq!(
        works,
        [
            "packages",
            "key /usr/share/keyrings/nvidia-container-toolkit-keyring.asc",
            "file /etc/apt/sources.list.d/nvidia-container-toolkit.list",
            "packages nvidia-container-toolkit and 3 more",
            "CDI specification /etc/cdi/nvidia.yaml",
            "unit nvidia-persistenced.service",
        ]
    );
}

#[test]
fn k3s_gets_nvidias_runtime_as_its_default_only_where_that_is_said_and_a_gpu_is() {
    let facts = facts("debian", &format!("{BUS}{CARD}"));
    let runtime = |gpu: &str, has_gpu| {
        let mut cluster = cluster(gpu, "");
        cluster.hosts[0].gpu = has_gpu;
        let keys = crate::k3s_settings::agent(&cluster, &cluster.hosts[0], &facts).unwrap();
        keys.get("default-runtime").cloned()
    };
    assert_eq!(runtime("default-runtime = true", true), Some("nvidia".into()));
    assert_eq!(runtime("default-runtime = true", false), None);
    assert_eq!(runtime("", true), None);
}

#[test]
fn templates_that_somebody_left_are_told_of() {
    let left = format!("{BUS}{CARD}fact gpu-template config-v3.toml.tmpl\n");
    let step = step(&cluster("", ""), &facts("debian", &left)).expect("a fit host");
    let told = step.notes.iter().filter(|note| note.contains("config-v3.toml.tmpl")).count();
    assert_eq!(told, 1, "{:?}", step.notes);
}
