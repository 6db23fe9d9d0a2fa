//! What a host is: asked once, before anything is decided.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, bail};
use secrecy::SecretString;
use serde::Serialize;

use crate::cluster::Role;
use crate::receipt::STATE;
use crate::remote::Output;
use crate::script::Script;

/// What a host is, as it said itself.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Facts {
    /// `ID` of /etc/os-release: `debian`, `ubuntu`.
    pub os: String,
    /// `VERSION_ID` of /etc/os-release: `12`, `24.04`.
    pub os_version: String,
    /// `uname -m`.
    pub machine: String,
    /// The kernel's release.
    pub kernel: String,
    /// The host's own name.
    pub hostname: String,
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// Processors that are online.
    pub cpus: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Free space where /var/lib is, MiB.
    pub disk_free_mib: u64,
    /// cgroup v2 controllers, or `v1` on a host of the old hierarchy.
    pub cgroups: Vec<String>,
    /// Kind of virtualisation, `none` on bare metal.
    pub virtualization: String,
    /// The clock, seconds since 1970, at the moment of asking.
    pub clock: f64,
    /// The operator's clock at the same moment, seconds since 1970.
    #[serde(skip)]
    pub asked_at: f64,
    /// Addresses with their prefix, by interface.
    pub addresses: Vec<String>,
    /// The interface of the default route.
    pub default_interface: Option<String>,
    /// The run that holds the host's lock.
    pub lock: Option<crate::lock::Lock>,
    /// The token that agents join with; only asked of a server.
    #[serde(skip)]
    pub join_token: Option<SecretString>,
}

/// The hardware names that k3s has binaries for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arch {
    /// `x86_64`.
    Amd64,
    /// `aarch64`.
    Arm64,
    /// `armv7l` and its like.
    Arm,
}

impl Facts {
    /// The architecture in k3s' words.
    ///
    /// # Errors
    /// When there is no k3s for this machine.
    pub fn arch(&self) -> anyhow::Result<Arch> {
        match self.machine.as_str() {
            "x86_64" => Ok(Arch::Amd64),
            "aarch64" => Ok(Arch::Arm64),
            name if name.starts_with("arm") => Ok(Arch::Arm),
            other => bail!("there is no k3s for the architecture `{other}`"),
        }
    }

    /// How far the host's clock is ahead of ours, seconds.
    #[must_use]
    pub fn ahead(&self) -> f64 {
        self.clock - self.asked_at
    }
}

/// The script that asks; a server is also asked for its join token.
#[must_use]
pub fn script(role: Role) -> Script {
    let mut text = String::from(ASK);
    let _ =
        writeln!(text, "if read -r lock 2>/dev/null <{STATE}/lock; then say lock \"$lock\"; fi");
    if role == Role::Server {
        text.push_str(ASK_TOKEN);
    }
    text.push_str("exit 0\n");
    Script::new(text)
}

const ASK: &str = r#"say() { printf 'fact %s %s\n' "$1" "$2"; }
first() { if read -r line 2>/dev/null <"$2"; then say "$1" "$line"; fi; }
say clock "$(date +%s.%N)"
( . /etc/os-release; say os "${ID-}"; say os-version "${VERSION_ID-}" )
say machine "$(uname -m)"
first kernel /proc/sys/kernel/osrelease
first hostname /proc/sys/kernel/hostname
first machine-id /etc/machine-id
say cpus "$(nproc)"
while read -r key value unit; do
  if [ "$key" = MemTotal: ]; then say memory "$value"; break; fi
done </proc/meminfo
df -Pk /var/lib | while read -r name size used free rest; do say disk-free "$free"; done
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then first cgroups /sys/fs/cgroup/cgroup.controllers
elif [ -d /sys/fs/cgroup/memory ]; then say cgroups v1; fi
say virtualization "$(systemd-detect-virt 2>/dev/null || :)"
if command -v ip >/dev/null; then
  ip -o addr show scope global | while read -r number name family address rest; do say address "$name $address"; done
  ip -o route show default | while read -r default via gateway dev name rest; do say default-interface "$name"; done
fi
"#;

/// The token's files are links that appear only once the server is up; the agents' own goes first.
const ASK_TOKEN: &str = r#"for token in agent-token node-token; do
  if read -r line 2>/dev/null <"/var/lib/rancher/k3s/server/$token"; then say join-token "$line"; break; fi
done
"#;

/// Reads the script's output; `asked_at` is the operator's clock when it ran.
///
/// # Errors
/// When the host is not one that oceanid can work with: no Debian or Ubuntu, no systemd's machine-id.
pub fn read(output: &Output, asked_at: f64) -> anyhow::Result<Facts> {
    let mut said: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in output.stdout.lines().filter_map(|line| line.strip_prefix("fact ")) {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        said.entry(key).or_default().push(value.trim());
    }
    let first = |key: &str| {
        said.get(key)
            .and_then(|values| values.first())
            .copied()
            .with_context(|| format!("the host does not say its {key}: {}", output.stderr.trim()))
    };
    let maybe = |key: &str| first(key).ok().map(str::to_owned);
    let number = |key: &str| -> anyhow::Result<u64> {
        let value = said.get(key).and_then(|values| values.last()).copied().unwrap_or_default();
        value.parse().with_context(|| format!("`{value}` is not a number ({key})"))
    };
    let lock = first("lock").ok().and_then(|lock| serde_json::from_str(lock).ok());
    Ok(Facts {
        os: first("os")?.to_owned(),
        os_version: maybe("os-version").unwrap_or_default(),
        machine: first("machine")?.to_owned(),
        kernel: first("kernel")?.to_owned(),
        hostname: first("hostname")?.to_owned(),
        machine_id: first("machine-id")?.to_owned(),
        cpus: u32::try_from(number("cpus")?)?,
        memory_mib: number("memory")? / 1024,
        disk_free_mib: number("disk-free")? / 1024,
        cgroups: maybe("cgroups")
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        virtualization: maybe("virtualization")
            .filter(|kind| !kind.is_empty())
            .unwrap_or_else(|| "none".to_owned()),
        clock: first("clock")?.parse().context("the host's clock is not a number")?,
        asked_at,
        addresses: said
            .get("address")
            .into_iter()
            .flatten()
            .map(|&address| address.to_owned())
            .collect(),
        default_interface: maybe("default-interface"),
        lock,
        join_token: first("join-token").ok().map(SecretString::from),
    })
}
