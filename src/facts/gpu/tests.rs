use std::process::Command;

use super::{Gpu, Smi, Spec, ask};
use crate::cluster::Role;
use crate::facts;
use crate::remote::Output;

/// What else a host says, so that its facts are whole.
const REST: &str = "fact clock 1.5\nfact os debian\nfact machine x86_64\nfact kernel 6.1\n\
    fact hostname a\nfact machine-id 0\nfact cpus 2\nfact memory 1\nfact disk-free 1 1\n";

fn gpu(said: &str) -> Gpu {
    let stdout = format!("{REST}{said}fact gpu-asked yes\n");
    let output = Output { stdout, ..Output::default() };
    facts::read(&output, 1.5).expect("whole facts").gpu.expect("it was asked")
}

#[test]
fn a_working_gpu_is_read_whole() {
    let gpu = gpu("fact gpu 0000:01:00.0 0x2684\n\
         fact gpu-driver NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (a@b)  Tue Sep 23\n\
         fact gpu-secure-boot   6   0   0   0   1\nfact gpu-persistenced yes\n\
         fact list gpu-smi\n0, NVIDIA GeForce RTX 4090, GPU-1, 580.95.05, 24564, 311, 4, 41, 8.9, Enabled\n\
         fact gpu-smi-status 0\nfact list gpu-toolkit\nNVIDIA Container Toolkit CLI version 1.20.0\ncommit: 0\n\
         fact gpu-cdi /etc/cdi/nvidia.yaml\nfact list gpu-cdi-driver\n/etc/cdi/nvidia.yaml:libcuda.so.550.54.14\n\
         fact gpu-cdi /var/run/cdi/nvidia.yaml\nfact list gpu-cdi-driver\n/var/run/cdi/nvidia.yaml:libcuda.so.580.95.05\n\
         fact gpu-template config.toml.tmpl\n");
    insta::assert_snapshot!(gpu.lines().join("\n"), @r"
    0: NVIDIA GeForce RTX 4090, 311 of 24564 MiB in use, 4 % busy, 41 °C, compute 8.9, persistence on
    driver 580.95.05 in the kernel, 580.95.05 in its libraries
    Secure Boot is on
    container toolkit 1.20.0
    CDI /etc/cdi/nvidia.yaml, driver 550.54.14
    CDI /var/run/cdi/nvidia.yaml, driver 580.95.05
    ");
    assert_eq!((gpu.count(), gpu.has_persistenced, gpu.nouveau), (1, true, false));
    assert_eq!(gpu.templates, ["config.toml.tmpl"]);
}

#[test]
fn a_driver_of_two_versions_says_both() {
    let gpu = gpu(
        "fact gpu-driver NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22\n\
         fact list gpu-smi\nFailed to initialize NVML: Driver/library version mismatch\n\
         NVML library version: 550.163\nfact gpu-smi-status 18\n",
    );
    assert_eq!(gpu.driver.as_deref(), Some("550.54.14"));
    assert_eq!(gpu.libraries().as_deref(), Some("550.163"));
    assert!(matches!(&gpu.smi, Smi::Failed { status: 18, .. }), "{:?}", gpu.smi);
}

#[test]
fn what_is_no_table_of_cards_is_a_failure() {
    let said = |lines: &str| gpu(&format!("fact list gpu-smi\n{lines}fact gpu-smi-status 0\n")).smi;
    assert_eq!(said(""), Smi::Shows(Vec::new()));
    for lines in ["No devices were found\n", "0, a, b\n"] {
        assert!(matches!(said(lines), Smi::Failed { status: 0, .. }), "{lines}");
    }
    let Smi::Shows(cards) = said("3, A, B, 1.2, [N/A], 5, [N/A], 30, 9.0, Disabled\n") else {
        panic!("it is a card")
    };
    assert_eq!((cards[0].index, cards[0].memory_mib, cards[0].persistent), (3, 0, false));
}

#[test]
fn a_host_that_was_not_asked_has_no_answer() {
    let output = Output { stdout: REST.to_owned(), ..Output::default() };
    assert_eq!(facts::read(&output, 1.5).expect("whole facts").gpu, None);
    assert!(!facts::script(Role::Agent).text().contains("nvidia"), "others pay nothing");
    assert!(facts::script_with_gpu(Role::Agent).text().contains(&ask()));
}

/// This machine is asked for real: whatever it has, the answer is whole and nothing is complained of.
#[test]
fn any_machine_can_be_asked() {
    for shell in ["dash", "bash"] {
        let script = facts::script_with_gpu(Role::Agent);
        let output = Command::new(shell).args(["-c", script.text()]).output().expect("it runs");
        let output = Output {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        assert_eq!(output.stderr, "", "{shell}");
        let gpu = facts::read(&output, 0.0).expect("facts").gpu.expect("it was asked");
        assert!(gpu.cdi.iter().all(|Spec { path, .. }| path.starts_with('/')), "{:?}", gpu.cdi);
    }
}
