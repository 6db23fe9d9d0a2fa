//! What a host is: asked once, before anything is decided.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, bail};
use secrecy::SecretString;
use serde::Serialize;

use crate::cluster::Role;
use crate::guard::Guard;
use crate::receipt::{OPERATOR, STATE};
use crate::remote::Output;
use crate::script::Script;

pub use self::access::{Login, Sshd};
pub use self::gpu::{Card, Gpu, Smi, Spec};
pub use self::kept::Kept;
pub use self::roll::Roll;

mod access;
mod gpu;
mod kept;
mod roll;

/// What a host is, as it said itself.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing that is there or is not")]
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
    /// The size of the file system where /var/lib is, MiB; 0 where the host does not say it.
    pub disk_mib: u64,
    /// The kind of file system where /var/lib is, as `stat -f` calls it: `ext2/ext3`, `btrfs`.
    pub disk_kind: String,
    /// cgroup v2 controllers, or `v1` on a host of the old hierarchy.
    pub cgroups: Vec<String>,
    /// What it runs on: the kind of container, or maker and model of the machine; may be empty.
    pub hardware: String,
    /// The clock, seconds since 1970, at the moment of asking.
    pub clock: f64,
    /// The operator's clock at the same moment, seconds since 1970.
    #[serde(skip)]
    pub asked_at: f64,
    /// Addresses with their prefix, by interface.
    pub addresses: Vec<String>,
    /// The interface of the default route.
    pub default_interface: Option<String>,
    /// It is a container: the kernel is that of the machine below.
    pub container: bool,
    /// `NetworkManager` is installed.
    pub has_network_manager: bool,
    /// Some swap other than ours is in use.
    pub has_swap: bool,
    /// Our swap file is in use.
    pub has_swap_file: bool,
    /// How we came in.
    pub login: Login,
    /// What its sshd is told.
    pub sshd: Sshd,
    /// The kernel has `WireGuard`, or a module of that name.
    pub has_wireguard: bool,
    /// What a k3s server keeps its state in.
    pub kept: Kept,
    /// k3s has been here: what it needs to begin with is there.
    pub has_k3s: bool,
    /// A guard that waits, or has something to tell.
    pub guard: Option<Guard>,
    /// The run that holds the host's lock.
    pub lock: Option<crate::lock::Lock>,
    /// Its GPUs; only asked of a host that is said to have one.
    pub gpu: Option<Gpu>,
    /// A node's password is there: a k3s on this host has been a node.
    pub has_node_password: bool,
    /// The token that agents join with; only asked of a server.
    #[serde(skip)]
    pub join_token: Option<SecretString>,
    /// The token that servers join with; only asked of a server.
    #[serde(skip)]
    pub server_token: Option<SecretString>,
    /// Who is in the cluster; only asked of a server, and only while its API answers.
    #[serde(skip)]
    pub roll: Option<Roll>,
    /// The version of a server whose API does not answer.
    #[serde(skip)]
    pub k3s_version: Option<String>,
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
    with(role, "")
}

/// As [`script`], for a host that is said to have a GPU.
#[must_use]
pub fn script_with_gpu(role: Role) -> Script {
    with(role, &gpu::ask())
}

fn with(role: Role, further: &str) -> Script {
    let mut text = String::from(ASK);
    let _ = writeln!(
        text,
        "first lock {STATE}/lock\nfirst operator {OPERATOR}\nfor guard in armed firing fired; do first \"guard-$guard\" \"{STATE}/guard/$guard\"; done"
    );
    if role == Role::Server {
        text.push_str(kept::ASK);
        text.push_str(ASK_TOKENS);
        text.push_str(&roll::ask());
    }
    text.push_str(further);
    text.push_str("exit 0\n");
    Script::new(text)
}

/// Every fork costs a small host a millisecond: files are read by the shell, and the tools that
/// are needed write for themselves. `/proc/sys` has only strings for it: see `Probe::write_sysctls`.
/// `$1` and `$2` are `SSH_CONNECTION` and the user that logged in.
const ASK: &str = r#"say() { printf 'fact %s %s\n' "$1" "$2"; }
first() { if read -r line 2>/dev/null <"$2"; then say "$1" "$line"; fi; }
date '+fact clock %s.%N'
( . /etc/os-release; say os "${ID-}"; say os-version "${VERSION_ID-}" )
printf 'fact machine '; uname -m
first kernel /proc/sys/kernel/osrelease
first hostname /proc/sys/kernel/hostname
first machine-id /etc/machine-id
first cpus /sys/devices/system/cpu/online
while read -r key value unit; do
  if [ "$key" = MemTotal: ]; then say memory "$value"; break; fi
done </proc/meminfo
stat -f --printf 'fact disk-free %a %S\nfact disk-size %b %S\nfact disk-kind %T\n' /var/lib
if [ -d /var/lib/rancher/k3s/agent ]; then say has-k3s yes; fi
wireguard() {
  if [ -d /sys/module/wireguard ]; then return; fi
  read -r kernel </proc/sys/kernel/osrelease
  for module in "/lib/modules/$kernel"/kernel/drivers/net/wireguard/wireguard.ko*; do
    if [ -e "$module" ]; then return; fi
  done
  modprobe -nq wireguard
}
if wireguard 2>/dev/null; then say has-wireguard yes; fi
if [ -s /etc/rancher/node/password ]; then say has-node-password yes; fi
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then first cgroups /sys/fs/cgroup/cgroup.controllers
elif [ -d /sys/fs/cgroup/memory ]; then say cgroups v1; fi
if [ -e /run/systemd/container ]; then say container yes; first hardware /run/systemd/container
else
  first hardware /sys/class/dmi/id/sys_vendor; first hardware /sys/class/dmi/id/product_name
  if read -r line </proc/device-tree/model || [ -n "$line" ]; then say hardware "$line"; fi 2>/dev/null
fi
while read -r name to via rest; do
  if [ "$to" = 00000000 ]; then say default-interface "$name"; break; fi
done </proc/net/route
if command -v ip >/dev/null; then ip -o addr show scope global; fi
say login "${2-} ${1-}"
if [ -d /etc/NetworkManager ]; then say has-network-manager yes; fi
while read -r name rest; do
  case $name in Filename) ;; /var/swapfile) say has-swap-file yes ;; *) say has-swap yes ;; esac
done </proc/swaps
for key in /etc/ssh/ssh_host_*_key; do
  key=${key#/etc/ssh/ssh_host_}; say host-key "${key%_key}"
done
# What follows a list's name belongs to it, as the program itself prints it.
for list in kex cipher mac HostKeyAlgorithms; do say list "knows-$list"; ssh -Q "$list" 2>/dev/null; done
say list sshd
sshd -T 2>&1 || say sshd-broken yes
"#;

/// The tokens' files appear only once the server is up; the agents' is a link where they have none of their own.
const ASK_TOKENS: &str = "first join-token /var/lib/rancher/k3s/server/agent-token
first server-token /var/lib/rancher/k3s/server/token
";

/// Reads the script's output; `asked_at` is the operator's clock when it ran.
///
/// # Errors
/// When the host is not one that oceanid can work with: no Debian or Ubuntu, no systemd's machine-id.
pub fn read(output: &Output, asked_at: f64) -> anyhow::Result<Facts> {
    let mut said: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut list = None;
    for line in output.stdout.lines() {
        let Some(fact) = line.strip_prefix("fact ") else {
            said.entry(list.unwrap_or("")).or_default().push(line.trim());
            continue;
        };
        let (key, value) = fact.split_once(' ').unwrap_or((fact, ""));
        list = (key == "list").then_some(value.trim());
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
    let cpus = first("cpus")?;
    let cpus = count(cpus).with_context(|| format!("`{cpus}` is not a list of processors"))?;
    let free = first("disk-free")?;
    let free = bytes(free).with_context(|| format!("`{free}` is no count of free blocks"))?;
    let lock = first("lock").ok().and_then(|lock| serde_json::from_str(lock).ok());
    let all = |key: &str| -> Vec<String> {
        said.get(key).into_iter().flatten().map(|value| (*value).to_owned()).collect()
    };
    let setting = |line: &String| {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        (key.to_owned(), value.to_owned())
    };
    let broken = maybe("sshd-broken").is_some();
    let sshd = Sshd {
        settings: if broken { Vec::new() } else { all("sshd").iter().map(setting).collect() },
        broken: broken.then(|| all("sshd").pop().unwrap_or_default()),
        host_keys: all("host-key"),
        kex: all("knows-kex"),
        ciphers: all("knows-cipher"),
        macs: all("knows-mac"),
        host_key_algorithms: all("knows-HostKeyAlgorithms"),
    };
    Ok(Facts {
        os: first("os")?.to_owned(),
        os_version: maybe("os-version").unwrap_or_default(),
        machine: first("machine")?.to_owned(),
        kernel: first("kernel")?.to_owned(),
        hostname: first("hostname")?.to_owned(),
        machine_id: first("machine-id")?.to_owned(),
        cpus,
        memory_mib: number("memory")? / 1024,
        disk_free_mib: free / (1024 * 1024),
        disk_mib: maybe("disk-size").as_deref().and_then(bytes).unwrap_or(0) / (1024 * 1024),
        disk_kind: maybe("disk-kind").unwrap_or_default(),
        cgroups: maybe("cgroups")
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        hardware: said.get("hardware").map(|words| words.join(" ")).unwrap_or_default(),
        clock: first("clock")?.parse().context("the host's clock is not a number")?,
        asked_at,
        addresses: output.stdout.lines().filter_map(address).collect(),
        default_interface: maybe("default-interface"),
        container: maybe("container").is_some(),
        has_network_manager: maybe("has-network-manager").is_some(),
        has_swap: maybe("has-swap").is_some(),
        has_swap_file: maybe("has-swap-file").is_some(),
        login: access::login(
            &maybe("login").unwrap_or_default(),
            maybe("operator").and_then(|address| address.parse().ok()),
        ),
        sshd,
        has_wireguard: maybe("has-wireguard").is_some(),
        kept: kept::read(&all("kept")),
        has_k3s: maybe("has-k3s").is_some(),
        guard: guard(&said),
        lock,
        gpu: gpu::read(&said),
        has_node_password: maybe("has-node-password").is_some(),
        join_token: first("join-token").ok().map(SecretString::from),
        server_token: first("server-token").ok().map(SecretString::from),
        roll: said.get("roll").and_then(|lines| Roll::read(&lines.join("\n"))),
        k3s_version: maybe("k3s-version").and_then(|said| roll::version(&said)),
    })
}

/// What the host's guard is about, if it is about anything.
fn guard(said: &BTreeMap<&str, Vec<&str>>) -> Option<Guard> {
    let marker = |key: &str| serde_json::from_str(said.get(key)?.first()?).ok();
    let armed = marker("guard-armed").or_else(|| marker("guard-firing")).map(Guard::Armed);
    marker("guard-fired").map(Guard::Fired).or(armed)
}

/// How many processors the kernel's list `0-3,6` names.
fn count(list: &str) -> Option<u32> {
    list.split(',').try_fold(0, |sum, range| {
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        Some(sum + high.parse::<u32>().ok()?.checked_sub(low.parse().ok()?)? + 1)
    })
}

/// Free blocks and their size, as bytes.
fn bytes(free: &str) -> Option<u64> {
    let (blocks, size) = free.split_once(' ')?;
    blocks.parse::<u64>().ok()?.checked_mul(size.parse().ok()?)
}

/// Interface and address of a line of `ip -o addr`.
fn address(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    words.next()?.strip_suffix(':')?.parse::<u32>().ok()?;
    let (name, _family, address) = (words.next()?, words.next()?, words.next()?);
    Some(format!("{name} {address}"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{Role, count, read, script};
    use crate::remote::Output;

    fn asked_here(shell: &str) -> Output {
        let script = script(Role::Agent);
        let output = Command::new(shell).args(["-c", script.text()]).output().expect("it runs");
        Output {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn said(command: &str) -> String {
        let output = Command::new("sh").args(["-c", command]).output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    #[test]
    fn the_facts_of_this_machine_are_what_its_own_tools_say() {
        for shell in ["dash", "bash"] {
            let output = asked_here(shell);
            let facts = read(&output, 0.0).expect("this machine has facts");
            assert_eq!(output.stderr, "", "{shell}");
            assert_eq!(facts.machine, said("uname -m"));
            assert_eq!(facts.hostname, said("uname -n"));
            assert_eq!(facts.cpus.to_string(), said("nproc --all"));
            assert_eq!(
                format!("{} {}", facts.os, facts.os_version),
                said(". /etc/os-release; echo \"$ID $VERSION_ID\"")
            );
            let free: u64 = said("df -Pm /var/lib | awk 'END { print $4 }'").parse().expect("df");
            assert!(facts.disk_free_mib.abs_diff(free) < 1024, "{} {free}", facts.disk_free_mib);
            let interface = said("ip -o route show default | awk '{ print $5; exit }'");
            assert_eq!(facts.default_interface.unwrap_or_default(), interface);
            let addresses = said("ip -o addr show scope global | awk '{ print $2, $4 }'");
            assert_eq!(facts.addresses.join("\n"), addresses);
        }
    }

    #[test]
    fn the_kernels_list_of_processors_is_counted() {
        let counts = ["0", "0-3", "0-3,6", "0,2,4-5"].map(count);
        assert_eq!(counts, [Some(1), Some(4), Some(5), Some(4)]);
        assert_eq!(["", "3-1", "a"].map(count), [None; 3]);
    }
}
