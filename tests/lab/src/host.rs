//! One host of a lab: boots, runs commands past the product, and tells what it saw.

mod faults;
mod gpu;
mod pod;
mod setup;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::command::{output_for, run, tail, wait_for};
use crate::files::Manifest;
use crate::sampler::Sampler;
use crate::topology::HostSpec;

pub use gpu::DRIVER;
pub use pod::in_pod;
pub(crate) use setup::{Ground, boot};

/// How long a host may take to boot on a busy machine.
const BOOT: Duration = Duration::from_secs(90);
/// How long a command on a host may take when nothing else is said.
const COMMAND: Duration = Duration::from_mins(1);

/// One host of a lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Host {
    /// What it should be.
    pub spec: HostSpec,
    /// Its address.
    pub address: Ipv4Addr,
    /// The addresses of its further sshd instances.
    pub instances: Vec<Ipv4Addr>,
    /// What it is called on this machine: cgroup, network namespace, port of the bridge.
    pub(crate) id: String,
    pub(crate) dir: PathBuf,
    pub(crate) image: PathBuf,
}

/// What a host's sshd has seen since it booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SshdCounts {
    /// TCP connections.
    pub connections: usize,
    /// Executed commands, shells and subsystems.
    pub sessions: usize,
}

impl std::ops::Sub for SshdCounts {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            connections: self.connections - earlier.connections,
            sessions: self.sessions - earlier.sessions,
        }
    }
}

impl Host {
    /// Its hostname.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Its address and the port of its sshd.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((self.address, 22))
    }

    /// Its root folder, as this machine sees it.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// The process id of its systemd, as this machine sees it; an error when the host is down.
    pub fn leader(&self) -> Result<u32> {
        for pid in self.processes() {
            let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { continue };
            let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or("");
            let ids: Vec<&str> = ids.split_whitespace().collect();
            if ids.len() > 1 && ids.last() == Some(&"1") {
                return Ok(pid);
            }
        }
        bail!("`{}` is not running\n{}", self.name(), self.console())
    }

    /// Every process of the host, and the two on this machine that keep it up.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let mut pids = Vec::new();
        for entry in walkdir::WalkDir::new(self.cgroup()).into_iter().filter_map(Result::ok) {
            if entry.file_type().is_dir() {
                let list = entry.path().join("cgroup.procs");
                let list = fs::read_to_string(list).unwrap_or_default();
                pids.extend(list.lines().filter_map(|line| line.parse::<u32>().ok()));
            }
        }
        pids
    }

    /// The cgroup that holds all of the host and can be frozen.
    pub(crate) fn cgroup(&self) -> PathBuf {
        let first = Path::new("/sys/fs/cgroup/freezer");
        let base = if first.exists() { first } else { Path::new("/sys/fs/cgroup") };
        base.join(&self.id)
    }

    /// The end of what the host printed while booting.
    #[must_use]
    pub fn console(&self) -> String {
        let text = fs::read(self.dir.join("console.log")).unwrap_or_default();
        tail(&String::from_utf8_lossy(&text), 30)
    }

    /// Waits until the host has booted: all units started, users may log in.
    pub fn wait_up(&self) -> Result<()> {
        let up = || {
            if self.leader().is_err() {
                if self.dir.join("ended").exists() {
                    bail!("`{}` ended\n{}", self.name(), self.console());
                }
                return Ok(None);
            }
            let state = self.output("systemctl is-system-running; systemctl is-active ssh")?;
            let state = String::from_utf8_lossy(&state.stdout).into_owned();
            let mut lines = state.lines();
            let started = matches!(lines.next(), Some("running" | "degraded"));
            Ok((started && lines.next() == Some("active")).then_some(()))
        };
        let failed = "systemctl --failed --no-pager; systemctl list-jobs --no-pager";
        let diagnosis = || {
            let units = self.output(failed).map(|o| o.stdout).unwrap_or_default();
            format!("{}\n{}", String::from_utf8_lossy(&units), self.console())
        };
        wait_for(BOOT, &format!("`{}` to boot", self.name()), up, diagnosis)
    }

    /// Runs `command` with `/bin/sh` as root on the host, not through SSH; its stdout.
    pub fn exec(&self, command: &str) -> Result<String> {
        let output = self.output(command)?;
        if !output.status.success() {
            bail!(
                "`{command}` on `{}` failed ({}): {}{}",
                self.name(),
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs `command` as [`Host::exec`] does and returns whatever came of it.
    pub fn output(&self, command: &str) -> Result<Output> {
        self.output_for(COMMAND, command)
    }

    /// Runs `command` as [`Host::exec`] does for at most `limit`; 124 is a timeout.
    pub fn output_for(&self, limit: Duration, command: &str) -> Result<Output> {
        let leader = self.leader()?.to_string();
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let arguments = [
            "--target",
            &leader,
            "--all",
            "--wdns=/",
            "--",
            "/usr/bin/env",
            "-i",
            path,
            "HOME=/root",
            "LANG=C.UTF-8",
            "/bin/sh",
            "-c",
            command,
        ];
        output_for(limit, "nsenter", &arguments)
    }

    /// What every file of the host is, but for `/proc` and its like, logs, `/var/lib/rancher`,
    /// what a login writes, and `excluding`.
    pub fn manifest(&self, excluding: &[&str]) -> Result<Manifest> {
        Manifest::read(&self.root(), &self.image, &self.dir.join("disk/upper"), excluding)
            .with_context(|| format!("cannot list the files of `{}`", self.name()))
    }

    /// One hash of [`Host::manifest`].
    pub fn filesystem_hash(&self, excluding: &[&str]) -> Result<String> {
        Ok(self.manifest(excluding)?.hash())
    }

    /// What the host's sshd has seen since it booted.
    pub fn sshd_counts(&self) -> Result<SshdCounts> {
        // Not by unit: a session's process is in a scope of its own by the time it logs.
        let text = self.exec(
            "journalctl --sync; journalctl -b -o cat --no-pager -t sshd -t sshd-session || :",
        )?;
        let count = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
        Ok(SshdCounts {
            connections: count("Connection from "),
            sessions: count("Starting session: "),
        })
    }

    /// The messages of `unit` since the host booted, without times.
    pub fn journal(&self, unit: &str) -> Result<String> {
        self.exec(&format!("journalctl --sync; journalctl -b -o cat --no-pager -u '{unit}'"))
    }

    /// Starts to collect the arguments and environments of every process on the host.
    #[must_use]
    pub fn ps_sampler(&self) -> Sampler {
        Sampler::start(self.clone())
    }

    /// The public host key of that kind: `ssh-ed25519 AAAA…`.
    pub fn host_key(&self, kind: &str) -> Result<String> {
        let file = self.root().join(format!("etc/ssh/ssh_host_{kind}_key.pub"));
        let line = crate::keys::read(&file)?;
        Ok(line.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    }

    /// The fingerprint of the ed25519 host key: `SHA256:…`.
    pub fn fingerprint(&self) -> Result<String> {
        let file = self.root().join("etc/ssh/ssh_host_ed25519_key.pub").display().to_string();
        let line = run("ssh-keygen", &["-l", "-f", &file])?;
        Ok(line.split_whitespace().nth(1).context("no fingerprint")?.to_owned())
    }

    /// Gives the host new host keys, as after a reinstallation; `known_hosts` stays.
    pub fn change_host_keys(&self) -> Result<()> {
        self.exec("rm /etc/ssh/ssh_host_*; ssh-keygen -q -A >/dev/null; systemctl restart ssh")
            .map(drop)
    }
}
