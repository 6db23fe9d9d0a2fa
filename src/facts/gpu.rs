//! What a host says of its GPUs: the bus, the driver on both sides of the kernel, the container toolkit.

use std::collections::BTreeMap;

use serde::Serialize;

/// What is known of a host's GPUs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Gpu {
    /// What is on the PCI bus: the address, and NVIDIA's number of the model.
    pub devices: Vec<String>,
    /// The version of the driver in the kernel.
    pub driver: Option<String>,
    /// What `nvidia-smi` says.
    pub smi: Smi,
    /// The kernel's own driver, beside which NVIDIA's cannot be.
    pub nouveau: bool,
    /// Whether the firmware insists on signed modules; `None` where it does not say.
    pub secure_boot: Option<bool>,
    /// The service that keeps the driver ready is installed.
    pub has_persistenced: bool,
    /// The version of the container toolkit.
    pub toolkit: Option<String>,
    /// Specifications for the Container Device Interface.
    pub cdi: Vec<Spec>,
    /// Templates of containerd's configuration that somebody left for k3s.
    pub templates: Vec<String>,
}

/// What `nvidia-smi` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Smi {
    /// It is not installed.
    #[default]
    Absent,
    /// It failed.
    Failed {
        /// Its exit status.
        status: i32,
        /// What it printed, in one line.
        said: String,
    },
    /// These cards.
    Shows(Vec<Card>),
}

/// A GPU as `nvidia-smi` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Card {
    /// Its number: `/dev/nvidia<index>`.
    pub index: u32,
    /// Its model.
    pub name: String,
    /// Its own name.
    pub uuid: String,
    /// The version of the driver's libraries.
    pub driver: String,
    /// Its memory, MiB.
    pub memory_mib: u64,
    /// How much of that is in use, MiB.
    pub used_mib: u64,
    /// How busy it is, per cent.
    pub utilization: u32,
    /// Its temperature, °C.
    pub temperature: u32,
    /// Its compute capability.
    pub compute: String,
    /// The driver stays ready while nobody uses it.
    pub persistent: bool,
}

/// A specification for the Container Device Interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Spec {
    /// Where it is.
    pub path: String,
    /// The version of the driver whose libraries it names.
    pub driver: Option<String>,
}

/// What is asked of each card, in the order of [`Card`].
const FIELDS: &str = "index,name,uuid,driver_version,memory.total,memory.used,utilization.gpu,\
                      temperature.gpu,compute_cap,persistence_mode";

/// The part of the script that asks; only for hosts that are said to have a GPU.
///
/// A card that has fallen off the bus can make `nvidia-smi` wait for ever.
pub(super) fn ask() -> String {
    format!(
        r#"for device in /sys/bus/pci/devices/*; do
  if ! read -r vendor <"$device/vendor" || [ "$vendor" != 0x10de ]; then continue; fi
  if ! read -r class <"$device/class"; then continue; fi
  case $class in 0x0300*|0x0302*) read -r model <"$device/device"; say gpu "${{device##*/}} $model" ;; esac
done 2>/dev/null
first gpu-driver /proc/driver/nvidia/version
if [ -d /sys/module/nouveau ]; then say gpu-nouveau yes; fi
for file in /sys/firmware/efi/efivars/SecureBoot-*; do
  if [ -r "$file" ]; then printf 'fact gpu-secure-boot'; od -An -tu1 -- "$file"; fi
done
for file in /lib/systemd/system/nvidia-persistenced.service /etc/systemd/system/nvidia-persistenced.service; do
  if [ -e "$file" ]; then say gpu-persistenced yes; fi
done
if command -v nvidia-smi >/dev/null; then
  say list gpu-smi
  timeout 20 nvidia-smi --query-gpu={FIELDS} --format=csv,noheader,nounits 2>&1
  say gpu-smi-status $?
fi
if command -v nvidia-ctk >/dev/null; then say list gpu-toolkit; nvidia-ctk --version 2>&1; fi
for file in /etc/cdi/* /var/run/cdi/*; do
  case $file in *.yaml|*.json)
    if [ -r "$file" ]; then
      say gpu-cdi "$file"
      say list gpu-cdi-driver
      grep -osHm1 'libcuda\.so\.[0-9][0-9]*\.[0-9.]*[0-9]' -- "$file"
    fi ;;
  esac
done
for file in config.toml.tmpl config-v3.toml.tmpl; do
  if [ -e "/var/lib/rancher/k3s/agent/etc/containerd/$file" ]; then say gpu-template "$file"; fi
done
say gpu-asked yes
"#
    )
}

/// Reads what the script said; `None` where it was not asked.
pub(super) fn read(said: &BTreeMap<&str, Vec<&str>>) -> Option<Gpu> {
    let all = |key: &str| said.get(key).map_or(&[][..], Vec::as_slice);
    let texts = |key: &str| all(key).iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    all("gpu-asked").first()?;
    let driver_of = |path: &str| {
        let mut lines = all("gpu-cdi-driver").iter().filter_map(|line| line.split_once(':'));
        let (_, library) = lines.rfind(|(file, _)| *file == path)?;
        library.strip_prefix("libcuda.so.").map(str::to_owned)
    };
    let spec = |path: &&str| Spec { path: (*path).to_owned(), driver: driver_of(path) };
    Some(Gpu {
        devices: texts("gpu"),
        driver: all("gpu-driver").first().and_then(|line| version_in(line)),
        smi: smi(all("gpu-smi"), all("gpu-smi-status").first().copied()),
        nouveau: !all("gpu-nouveau").is_empty(),
        // Four bytes of attributes, then the one that counts.
        secure_boot: all("gpu-secure-boot").first().map(|bytes| bytes.ends_with(" 1")),
        has_persistenced: !all("gpu-persistenced").is_empty(),
        toolkit: all("gpu-toolkit").iter().find_map(|line| version_in(line)),
        cdi: all("gpu-cdi").iter().map(spec).collect(),
        templates: texts("gpu-template"),
    })
}

/// The first word that begins as a version does: `550.54.14`, `1.20.0`.
fn version_in(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let is_version = |word: &&str| {
        word.contains('.') && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    words.find(is_version).map(str::to_owned)
}

fn smi(lines: &[&str], status: Option<&str>) -> Smi {
    let Some(status) = status else { return Smi::Absent };
    let status = status.parse().unwrap_or(-1);
    let said = || lines.join(" ").trim().to_owned();
    if status != 0 {
        return Smi::Failed { status, said: said() };
    }
    let written = lines.iter().filter(|line| !line.is_empty());
    match written.map(|line| card(line)).collect::<Option<Vec<Card>>>() {
        Some(cards) => Smi::Shows(cards),
        None => Smi::Failed { status, said: said() },
    }
}

/// Reads a line; what a model has no sensor for is `[N/A]`.
fn card(line: &str) -> Option<Card> {
    let fields: Vec<&str> = line.split(", ").map(str::trim).collect();
    let [index, name, uuid, driver, memory, used, busy, warm, compute, persistence] = fields[..]
    else {
        return None;
    };
    Some(Card {
        index: index.parse().ok()?,
        name: name.to_owned(),
        uuid: uuid.to_owned(),
        driver: driver.to_owned(),
        memory_mib: memory.parse().unwrap_or(0),
        used_mib: used.parse().unwrap_or(0),
        utilization: busy.parse().unwrap_or(0),
        temperature: warm.parse().unwrap_or(0),
        compute: compute.to_owned(),
        persistent: persistence == "Enabled",
    })
}

impl Gpu {
    /// How many GPUs are on the bus.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.devices.len()).unwrap_or(u32::MAX)
    }

    /// The version of the driver's libraries, as far as `nvidia-smi` says it.
    #[must_use]
    pub fn libraries(&self) -> Option<String> {
        match &self.smi {
            Smi::Absent => None,
            Smi::Shows(cards) => cards.first().map(|card| card.driver.clone()),
            Smi::Failed { said, .. } => {
                said.split_once("NVML library version:").and_then(|(_, rest)| version_in(rest))
            }
        }
    }

    /// What a person wants to know of it: a line a thing.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match &self.smi {
            Smi::Shows(cards) => lines.extend(cards.iter().map(Card::line)),
            Smi::Failed { status, said } => {
                lines.push(format!("nvidia-smi fails with status {status}: {said}"));
            }
            Smi::Absent => lines.push(format!("{} on the PCI bus, no nvidia-smi", self.count())),
        }
        let text = |version: Option<&String>| version.map_or("none", String::as_str).to_owned();
        let libraries = self.libraries();
        lines.push(format!(
            "driver {} in the kernel, {} in its libraries",
            text(self.driver.as_ref()),
            text(libraries.as_ref())
        ));
        if self.nouveau {
            lines.push(String::from("nouveau is loaded"));
        }
        if let Some(on) = self.secure_boot {
            lines.push(format!("Secure Boot is {}", if on { "on" } else { "off" }));
        }
        lines.push(format!("container toolkit {}", text(self.toolkit.as_ref())));
        for spec in &self.cdi {
            lines.push(format!("CDI {}, driver {}", spec.path, text(spec.driver.as_ref())));
        }
        lines
    }
}

impl Card {
    fn line(&self) -> String {
        format!(
            "{}: {}, {} of {} MiB in use, {} % busy, {} °C, compute {}, persistence {}",
            self.index,
            self.name,
            self.used_mib,
            self.memory_mib,
            self.utilization,
            self.temperature,
            self.compute,
            if self.persistent { "on" } else { "off" },
        )
    }
}

#[cfg(test)]
mod tests;
