//! The driver: what must be there, what is not, and what to do about it.

use std::fmt::Write as _;

use anyhow::bail;

use crate::actions::{Command, Pinned};
use crate::cluster::Gpu;
use crate::facts::{self, Facts, Smi};
use crate::gpu::{LEAST_DRIVER, branch, least_driver};
use crate::script::Script;
use crate::step::Step;
use crate::steps::Inputs;

/// The driver answers, for as many cards as there are.
const ANSWERS: &str = "command -v nvidia-smi >/dev/null && nvidia-smi -L 2>&1\n";

/// What keeps a driver that was just installed from answering.
const LOAD: &str = r#"said=$(modprobe nvidia 2>&1) || :
if nvidia-smi -L; then exit 0; fi >&2
if [ -n "$said" ]; then printf '%s\n' "$said" >&2; fi
if [ -d /sys/module/nouveau ]; then
  printf 'nouveau holds the GPU until the host is rebooted\n' >&2
elif case $said in *'Key was rejected'*) ;; *) false ;; esac; then
  printf 'Secure Boot refuses the module: `mokutil --import /var/lib/dkms/mok.pub`, reboot, and enroll the key on the console\n' >&2
else
  printf 'the driver is installed and does not answer: `dkms status` and `dmesg` tell why; a reboot may be needed\n' >&2
fi
exit 1
"#;

/// Requires the driver, installed where cluster.toml says so.
pub fn driver(
    step: &mut Step,
    inputs: &Inputs<'_>,
    gpu: &Gpu,
    seen: &facts::Gpu,
) -> anyhow::Result<()> {
    on_the_bus(gpu, seen)?;
    let needed = needed(inputs);
    match &seen.smi {
        Smi::Shows(cards) => {
            let (there, wanted) = (cards.len(), gpu.count.unwrap_or(seen.count()));
            if u32::try_from(there).unwrap_or(u32::MAX) != wanted {
                bail!(
                    "nvidia-smi shows {} of {wanted}: `dmesg | grep -i nvrm` tells what became of the others",
                    gpus(there)
                );
            }
            let version = cards.first().map_or("", |card| card.driver.as_str());
            new_enough(gpu, version, &needed, inputs.facts)
        }
        Smi::Failed { said, .. } if said.contains("version mismatch") => {
            let text = |version: Option<String>| version.unwrap_or_else(|| "another".to_owned());
            bail!(
                "its driver is of two versions: {} in the kernel, {} in its libraries\n\
                 an update replaced one of them: it must be rebooted, which oceanid leaves to you (`reboot`)",
                text(seen.driver.clone()),
                text(seen.libraries())
            )
        }
        Smi::Failed { .. } | Smi::Absent if gpu.driver.is_some() => {
            install(step, gpu.driver.unwrap_or(needed.branch), inputs.facts);
            Ok(())
        }
        smi => bail!("{}", no_driver(smi, seen, inputs.facts, &needed)),
    }
}

/// The branch of the driver that is needed, and what for.
struct Needed<'a> {
    branch: u32,
    by: &'a str,
}

fn needed<'a>(inputs: &Inputs<'a>) -> Needed<'a> {
    let image = inputs.cluster.triton.as_ref().map(|triton| triton.image.as_str());
    match image.and_then(|image| Some((least_driver(image)?, image))) {
        Some((branch, by)) if branch > LEAST_DRIVER => Needed { branch, by },
        _ => Needed { branch: LEAST_DRIVER, by: "the device plugin" },
    }
}

fn gpus(count: usize) -> String {
    match count {
        1 => String::from("1 GPU"),
        count => format!("{count} GPUs"),
    }
}

fn on_the_bus(gpu: &Gpu, seen: &facts::Gpu) -> anyhow::Result<()> {
    let there = seen.devices.len();
    match gpu.count {
        _ if there == 0 => bail!(
            "no GPU of NVIDIA is on its PCI bus, but cluster.toml says `gpu = true`\n\
             `lspci -d 10de:` must list one: check the slot, its power and the firmware's settings"
        ),
        Some(count) if count != seen.count() => bail!(
            "{} {} on its PCI bus, but cluster.toml says `count = {count}` in `[gpu]`",
            gpus(there),
            if there == 1 { "is" } else { "are" }
        ),
        _ => Ok(()),
    }
}

fn new_enough(gpu: &Gpu, version: &str, needed: &Needed<'_>, facts: &Facts) -> anyhow::Result<()> {
    let Some(runs) = branch(version) else {
        bail!("nvidia-smi says no version of its driver, but `{version}`")
    };
    if runs < needed.branch {
        bail!(
            "its driver {version} is too old: {} needs {} or newer\n{}",
            needed.by,
            needed.branch,
            commands(facts, needed.branch)
        );
    }
    match gpu.driver {
        Some(wanted) if wanted != runs => bail!(
            "driver {version} runs, but cluster.toml says `driver = \"{wanted}\"`\n\
             a driver in use is not replaced: new libraries do not speak with the old module, and \
             whatever runs on the GPU loses it\n\
             replace it yourself and reboot, or say `driver = \"{runs}\"` in `[gpu]`"
        ),
        _ => Ok(()),
    }
}

fn is_ubuntu(facts: &Facts) -> bool {
    facts.os == "ubuntu"
}

/// The branch that a release of Debian has of its own.
fn of_debian(facts: &Facts) -> Option<u32> {
    match facts.os_version.as_str() {
        "12" => Some(535),
        "13" => Some(550),
        _ => None,
    }
}

/// What is to be typed on the host for a driver of at least that branch, and what says it in cluster.toml.
fn commands(facts: &Facts, least: u32) -> String {
    if is_ubuntu(facts) {
        // The oldest that its present releases have.
        let branch = least.max(535);
        return typed(&packages(facts, branch).join(" "), branch);
    }
    match of_debian(facts) {
        Some(branch) if branch < least => format!(
            "Debian {} has no newer one than {branch}: \
             https://docs.nvidia.com/datacenter/tesla/driver-installation-guide tells of NVIDIA's own packages",
            facts.os_version
        ),
        branch => {
            let packages = [&[headers(facts).to_owned()], &packages(facts, least)[..]].concat();
            format!("{CONTRIB}{}", typed(&packages.join(" "), branch.unwrap_or(least)))
        }
    }
}

const CONTRIB: &str = "Debian has it in `contrib` and `non-free`, which must be among the components \
    in /etc/apt/sources.list or /etc/apt/sources.list.d/debian.sources\n";

fn typed(packages: &str, branch: u32) -> String {
    format!(
        "what installs it on that host:\n  apt-get update\n  apt-get install {packages}\n  reboot\n\
         or have it installed: `driver = \"{branch}\"` in `[gpu]`"
    )
}

fn headers(facts: &Facts) -> &'static str {
    match (is_ubuntu(facts), facts.machine.as_str()) {
        (true, _) => "linux-headers-generic",
        (false, "aarch64") => "linux-headers-arm64",
        (false, _) => "linux-headers-amd64",
    }
}

/// The packages of the distribution, without a desktop. Ubuntu has the branch in their names.
fn packages(facts: &Facts, branch: u32) -> Vec<String> {
    if is_ubuntu(facts) {
        return ["nvidia-headless", "nvidia-utils"]
            .map(|name| format!("{name}-{branch}-server"))
            .into();
    }
    ["nvidia-kernel-dkms", "nvidia-smi", "libcuda1"].map(str::to_owned).into()
}

fn no_driver(smi: &Smi, seen: &facts::Gpu, facts: &Facts, needed: &Needed<'_>) -> String {
    let mut text = match smi {
        Smi::Failed { status, said } => {
            format!("its GPU has no working driver: nvidia-smi ends with status {status}: {said}")
        }
        _ => String::from("its GPU has no driver: nvidia-smi is not installed"),
    };
    if seen.nouveau {
        text.push_str("\nnouveau is loaded, beside which NVIDIA's driver cannot be: the packages keep it away from the next boot on");
    }
    if seen.secure_boot == Some(true) && !is_ubuntu(facts) {
        text.push_str(
            "\nSecure Boot is on: the kernel takes the module once its key is enrolled \
             (`mokutil --import /var/lib/dkms/mok.pub`, reboot, confirm on the console)",
        );
    }
    let _ = write!(text, "\n{}", commands(facts, needed.branch));
    text
}

fn install(step: &mut Step, branch: u32, facts: &Facts) {
    let packages = packages(facts, branch);
    let names: Vec<&str> = packages.iter().map(String::as_str).collect();
    step.ensure(Pinned::new(&names, &format!("{branch}.*")).with(headers(facts)));
    step.ensure(Command::new(
        "driver of the GPU",
        "load it, and have nvidia-smi answer",
        ANSWERS,
        Script::new(LOAD),
    ));
}
