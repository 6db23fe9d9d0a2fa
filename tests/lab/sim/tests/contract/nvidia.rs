//! What oceanid relies on in NVIDIA's programs, by the files that a driver leaves on a host.
//!
//! `OCEANID_LAB_NVIDIA_SMI` names a real `nvidia-smi` on a machine with a GPU: it is asked the same.

use std::env;
use std::process::{Command, Output};

const FIELDS: &str = "index,name,uuid,driver_version,memory.total,memory.used,utilization.gpu,temperature.gpu,compute_cap,persistence_mode";
const DRIVER: &str = "580.95.05";
const MOUNT: &str = "mount -t tmpfs lab";

/// A host whose kernel has `module` and whose libraries are of `libraries`; `words` are run there.
fn on(module: &str, libraries: &str, cards: u32, words: &str) -> Output {
    let mut lines = vec!["set -eu".to_owned(), format!("{MOUNT} /proc/driver")];
    if !module.is_empty() {
        let text = format!("NVRM version: NVIDIA UNIX x86_64 Kernel Module  {module}  Tue");
        lines.push("mkdir /proc/driver/nvidia".to_owned());
        lines.push(format!("printf '%s\\n' '{text}' >/proc/driver/nvidia/version"));
    }
    let folder = "/usr/lib/x86_64-linux-gnu";
    lines.push(format!("{MOUNT} /dev; mkdir /dev/up /dev/work"));
    lines.push(format!(
        "mount -t overlay lab -o lowerdir={folder},upperdir=/dev/up,workdir=/dev/work {folder}"
    ));
    lines.extend((0..cards).map(|card| format!(": >/dev/nvidia{card}")));
    lines.push(": >/dev/nvidiactl".to_owned());
    for name in ["libcuda", "libnvidia-ml"] {
        lines.push(format!(": >{folder}/{name}.so.{libraries}"));
    }
    lines.push(format!("exec {} {words}", env!("CARGO_BIN_EXE_sim")));
    Command::new("unshare")
        .args(["--mount", "sh", "-c", &lines.join("\n")])
        .output()
        .expect("unshare starts")
}

fn said(output: &Output) -> String {
    let all = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}

/// facts 4: exit status 9 without a driver.
#[test]
fn without_a_driver_it_ends_with_nine() {
    let output = on("", DRIVER, 1, "nvidia-smi -L");
    assert_eq!(output.status.code(), Some(9), "{}", said(&output));
    assert!(said(&output).contains("couldn't communicate with the NVIDIA driver"));
}

/// facts 4: the text by which a driver of two versions is known.
#[test]
fn a_driver_of_two_versions_is_a_mismatch() {
    let output = on(DRIVER, "580.119.02", 1, "nvidia-smi -L");
    assert!(!output.status.success());
    let said = said(&output);
    assert!(said.contains("Driver/library version mismatch"), "{said}");
    assert!(said.contains("NVML library version: 580.119"), "{said}");
}

/// facts 4: the fields that can be asked for, a line a card.
#[test]
fn the_fields_of_every_card_are_a_line() {
    let query = format!("--query-gpu={FIELDS} --format=csv,noheader,nounits");
    let (text, cards) = match env::var_os("OCEANID_LAB_NVIDIA_SMI") {
        Some(program) => {
            let output = Command::new(program).args(query.split(' ')).output().expect("it starts");
            (said(&output), None)
        }
        None => (said(&on(DRIVER, DRIVER, 2, &format!("nvidia-smi {query}"))), Some(2)),
    };
    let lines: Vec<&str> = text.lines().collect();
    assert!(cards.is_none_or(|cards| lines.len() == cards), "{text}");
    for (number, line) in lines.iter().enumerate() {
        let fields: Vec<&str> = line.split(", ").collect();
        assert_eq!(fields.len(), 10, "{line}");
        assert_eq!(fields[0], number.to_string());
        assert!(fields[3].contains('.') && fields[4].parse::<u64>().is_ok(), "{line}");
        assert!(["Enabled", "Disabled"].contains(&fields[9]), "{line}");
    }
    let wrong =
        on(DRIVER, DRIVER, 1, "nvidia-smi --query-gpu=colour --format=csv,noheader,nounits");
    assert!(!wrong.status.success() && said(&wrong).contains("not a valid field to query"));
}

/// facts 4: what a specification is made of, and where it goes.
#[test]
fn a_specification_names_every_card_and_the_drivers_library() {
    let shown = said(&on(DRIVER, DRIVER, 2, "nvidia-ctk --quiet cdi generate"));
    for part in
        ["kind: nvidia.com/gpu", "path: /dev/nvidia0\n", "path: /dev/nvidia1\n", "name: \"all\""]
    {
        assert!(shown.contains(part), "{shown}");
    }
    assert!(shown.contains(&format!("/libcuda.so.{DRIVER}\n")), "{shown}");
    assert!(!on("", DRIVER, 1, "nvidia-ctk cdi generate").status.success());
    let version = said(&on("", DRIVER, 0, "nvidia-ctk --version"));
    assert!(version.starts_with("NVIDIA Container Toolkit CLI version "), "{version}");
    let wrong = on(DRIVER, DRIVER, 1, "nvidia-ctk cdi generate --ouput=/etc/cdi/nvidia.yaml");
    assert!(!wrong.status.success());
}
