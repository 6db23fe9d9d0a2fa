//! A whole lab: brought up together, removed when it is dropped or when its owner dies.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::cluster_toml::{ClusterToml, sudo_variable};
use crate::host::{Ground, Host, boot};
use crate::keys::Keys;
use crate::network::Network;
use crate::releases::{Artifact, Releases};
use crate::slot::{Slot, Watch};
use crate::topology::{Privilege, Topology};

/// The version of cloudflared that is served, the product's default.
const CLOUDFLARED: &str = "2026.8.2";

/// A running lab.
#[derive(Debug)]
pub struct Lab {
    hosts: Vec<Host>,
    keys: Keys,
    network: Network,
    served: OnceLock<(Releases, Artifact)>,
    nvidia: OnceLock<String>,
    dir: PathBuf,
    // Last: dropping it removes everything.
    watch: Option<Watch>,
}

/// What a lab that outlives its process leaves for the next one.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    hosts: Vec<Host>,
}

impl Lab {
    /// Brings up every host and waits until all have booted.
    pub fn up(topology: Topology) -> Result<Self> {
        let topology = topology.with_gate();
        if topology.hosts.len() > 12 {
            bail!("a lab has at most twelve hosts, this one {}", topology.hosts.len());
        }
        let slot = Slot::take()?;
        let (dir, network) = (slot.dir(), Network::new(slot.number));
        let watch = slot.watch()?;
        network.up()?;
        let keys = Keys::create(dir.join("home"))?;
        let key = keys.public()?;
        let ground = Ground { dir: &dir, network: &network, key: &key };
        let hosts = boot_all(&ground, topology)?;
        if hosts.iter().any(|host| !host.instances.is_empty()) {
            network.serve_instances()?;
        }
        let lab = Self {
            hosts,
            keys,
            network,
            served: OnceLock::new(),
            nvidia: OnceLock::new(),
            dir,
            watch: Some(watch),
        };
        lab.write_known_hosts()?;
        Ok(lab)
    }

    /// Opens a lab that was kept; it stays when this value is dropped.
    pub fn open(number: u8) -> Result<Self> {
        let dir = crate::slot::home().join(number.to_string());
        let text = fs::read(dir.join("keep"))
            .with_context(|| format!("no lab {number} was kept; `lab status` lists them"))?;
        let state: State = serde_json::from_slice(&text)?;
        Ok(Self {
            hosts: state.hosts,
            keys: Keys { home: dir.join("home") },
            network: Network::new(number),
            served: OnceLock::new(),
            nvidia: OnceLock::new(),
            dir,
            watch: None,
        })
    }

    /// Lets the lab live on when this process ends; its number.
    pub fn keep(mut self) -> Result<u8> {
        let watch = self.watch.take().context("the lab is kept already")?;
        let state = State { hosts: self.hosts.clone() };
        fs::write(self.dir.join("keep"), serde_json::to_vec(&state)?)?;
        Ok(watch.leave())
    }

    /// The host of that name.
    ///
    /// # Panics
    /// When the topology has no such host.
    #[must_use]
    pub fn host(&self, name: &str) -> &Host {
        self.hosts.iter().find(|host| host.name() == name).expect("the topology names the host")
    }

    /// Every host, the router last.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The folder of the lab; gone when the lab is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// This machine's address, as the hosts see it.
    #[must_use]
    pub fn machine(&self) -> std::net::Ipv4Addr {
        self.network.machine()
    }

    /// Makes process `pid` one of the lab's: it is killed when the lab ends.
    pub fn adopt(&self, pid: u32) -> Result<()> {
        let first = Path::new("/sys/fs/cgroup/freezer");
        let base = if first.exists() { first } else { Path::new("/sys/fs/cgroup") };
        let group = base.join(self.network.port("adopted"));
        fs::create_dir_all(&group)?;
        fs::write(group.join("cgroup.procs"), pid.to_string())
            .with_context(|| format!("cannot adopt process {pid}"))
    }

    /// A HOME whose `.ssh` has the lab's key and a `known_hosts` with every host.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.keys.home
    }

    /// The private key that every host lets in.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.keys.private()
    }

    /// The `known_hosts` with every host of the lab.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.keys.known_hosts()
    }

    /// What a client needs in its environment: HOME and the sudo passwords.
    #[must_use]
    pub fn environment(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        all.insert("HOME".to_owned(), self.keys.home.display().to_string());
        for host in &self.hosts {
            if let Privilege::SudoPassword(password) = &host.spec.login.privilege {
                all.insert(sudo_variable(host.name()), password.clone());
            }
        }
        all
    }

    /// The server of this lab's releases; the first use builds the stand-in and starts it.
    pub fn releases(&self) -> Result<&Releases> {
        Ok(&self.serve()?.0)
    }

    /// The k3s that this lab serves.
    pub fn k3s(&self) -> Result<&Artifact> {
        Ok(&self.serve()?.1)
    }

    fn serve(&self) -> Result<&(Releases, Artifact)> {
        if let Some(served) = self.served.get() {
            return Ok(served);
        }
        let port = fs::read_to_string(self.dir.join("port")).unwrap_or_default();
        let artifact = Artifact::k3s()?;
        let address = SocketAddr::from((self.network.machine(), port.parse().unwrap_or(0)));
        let releases = Releases::start(address)?;
        releases.add_k3s(&artifact)?;
        releases.add_cloudflared(CLOUDFLARED)?;
        if self.hosts.iter().any(|host| host.spec.gpu) {
            let print = releases.add_nvidia(&self.dir.join("nvidia"))?;
            self.nvidia.get_or_init(|| print);
        }
        Ok(self.served.get_or_init(|| (releases, artifact)))
    }

    /// The project's `cluster.toml` with this lab's hosts and releases in it.
    pub fn cluster_toml(&self) -> Result<ClusterToml> {
        let mut toml = ClusterToml::new(&self.hosts)?;
        if self.watch.is_none() {
            let port = crate::keys::read(&self.dir.join("port"))?;
            let url = format!("http://{}:{port}", self.network.machine());
            toml.serve(&url, &Artifact::k3s()?);
        } else {
            let url = self.releases()?.url();
            toml.serve(&url, self.k3s()?);
            if let Some(print) = self.nvidia.get() {
                toml.serve_nvidia(&url, print);
            }
        }
        Ok(toml)
    }

    /// Writes [`Lab::cluster_toml`] into the lab's folder; its path.
    pub fn write_cluster_toml(&self) -> Result<PathBuf> {
        let path = self.dir.join("cluster.toml");
        fs::write(&path, self.cluster_toml()?.to_string())?;
        Ok(path)
    }

    fn write_known_hosts(&self) -> Result<()> {
        let mut text = String::new();
        for host in &self.hosts {
            for kind in ["ed25519", "ecdsa", "rsa"] {
                let key = host.host_key(kind)?;
                for address in host.instances.iter().chain([&host.address]) {
                    writeln!(text, "{address} {key}")?;
                }
            }
        }
        Ok(fs::write(self.keys.known_hosts(), text)?)
    }
}

/// Boots every host at once; the first error, when all have come up or failed.
fn boot_all(ground: &Ground<'_>, topology: Topology) -> Result<Vec<Host>> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0_u8..)
            .zip(topology.hosts)
            .map(|(index, spec)| {
                scope.spawn(move || {
                    let host = boot(ground, index, spec)?;
                    host.wait_up()?;
                    host.start_instances()?;
                    Ok(host)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("boot does not panic")).collect()
    })
}

/// Removes labs whose owner died, and those that were kept and are `named`; a line a lab.
pub fn down(named: impl Fn(u8) -> bool) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for (number, dir) in Slot::used() {
        lines.push(match Slot::lock(number)? {
            Some(_) if dir.join("keep").exists() && !named(number) => {
                format!("lab {number}: kept, left alone; `lab down --lab {number}` removes it")
            }
            Some(slot) => {
                slot.clear()?;
                format!("lab {number}: removed")
            }
            None => format!("lab {number}: in use by a running process, left alone"),
        });
    }
    Ok(lines)
}

/// What labs there are, a line a lab.
pub fn status() -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for (number, dir) in Slot::used() {
        let owner = match Slot::lock(number)? {
            None => "in use by a running process",
            Some(_) if dir.join("keep").exists() => "kept",
            Some(_) => "left by a process that died",
        };
        lines.push(format!("lab {number}: {owner}, in `{}`", dir.display()));
    }
    Ok(lines)
}
