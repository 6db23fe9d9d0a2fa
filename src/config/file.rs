//! cluster.toml as written: every section, every key, its default and its meaning.
//!
//! The comments on the keys are the text of `oceanid docs`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::written::Written;
use crate::cluster::{Firewall, Role};
use crate::secret::SecretRef;

/// Further settings of k3s, by name.
pub type Settings = BTreeMap<Written<String>, Written<Value>>;

/// A cluster, in one file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct File {
    /// The cluster as a whole.
    #[schemars(extend("x-required" = true))]
    pub cluster: ClusterSection,
    /// How hosts are reached: the defaults of every node. What stands here or at a node goes
    /// before `~/.ssh/config`.
    pub ssh: SshSection,
    /// What k3s is and how it is configured.
    #[schemars(extend("x-required" = true))]
    pub k3s: K3sSection,
    /// The nodes: one `[[node]]` for each host.
    #[schemars(extend("x-required" = true))]
    pub node: Vec<NodeSection>,
    /// What is tightened on every host. `oceanid plan` shows each change before it is made.
    pub harden: Option<Written<HardenSection>>,
    /// What nodes with `gpu = true` get.
    pub gpu: Option<Written<GpuSection>>,
    /// The Triton inference server, on nodes with `gpu = true`.
    pub triton: Option<Written<TritonSection>>,
    /// A Cloudflare tunnel, through which the world reaches one node that has no public address.
    pub tunnel: Option<Written<TunnelSection>>,
    /// Where downloads come from, for mirrors and closed networks. Everything that is fetched is
    /// compared with a known SHA-256, wherever it comes from.
    pub sources: SourcesSection,
}

/// `[cluster]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ClusterSection {
    /// The name of the cluster: kubeconfig context, owner of the lock, comments in files.
    #[schemars(extend("x-required" = true))]
    pub name: Option<Written<String>>,
    /// The domain that public names are made from.
    pub domain: Option<Written<String>>,
    /// The network of the pods. It cannot be changed once the cluster runs.
    pub pod_cidr: Written<String>,
    /// The network of the services. It cannot be changed once the cluster runs.
    pub service_cidr: Written<String>,
    /// How many seconds a host waits for oceanid to come back through a new login after a step
    /// that could lock it out, before the host undoes that step by itself.
    #[schemars(range(min = 5, max = 3600))]
    pub guard_seconds: Written<u64>,
}

impl Default for ClusterSection {
    fn default() -> Self {
        Self {
            name: None,
            domain: None,
            pod_cidr: "10.42.0.0/16".to_owned().into(),
            service_cidr: "10.43.0.0/16".to_owned().into(),
            guard_seconds: 90.into(),
        }
    }
}

/// `[ssh]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SshSection {
    /// The user to log in as. Without it `~/.ssh/config` decides, then the user who runs oceanid.
    pub user: Option<Written<String>>,
    /// The port of sshd. Without it `~/.ssh/config` decides, then it is 22.
    #[schemars(range(min = 1))]
    pub port: Option<Written<u16>>,
    /// Private key files, tried before those of `~/.ssh/config`: absolute paths, or `~/…`.
    pub keys: Vec<Written<String>>,
    /// Hosts to go through, first hop first: names of nodes, or `user@host:port`. Nodes that are
    /// named here are themselves reached directly.
    pub jump: Vec<Written<String>>,
    /// The password for sudo, where a user other than root needs one.
    pub sudo_password: Option<Written<SecretRef>>,
    /// How many seconds a refused or silent connection is tried again.
    #[schemars(range(min = 1, max = 3600))]
    pub connect_seconds: Written<u64>,
}

impl Default for SshSection {
    fn default() -> Self {
        Self {
            user: None,
            port: None,
            keys: Vec::new(),
            jump: Vec::new(),
            sudo_password: None,
            connect_seconds: 60.into(),
        }
    }
}

/// `[k3s]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct K3sSection {
    /// The exact version, as upstream names it: `v1.36.3+k3s1`.
    #[schemars(extend("x-required" = true))]
    pub version: Option<Written<String>>,
    /// How pods of different nodes reach each other.
    pub flannel_backend: Written<FlannelBackend>,
    /// Components that k3s brings along and that are not wanted.
    pub disable: Vec<Written<Component>>,
    /// Further names and addresses in the certificate of the API.
    pub tls_san: Vec<Written<String>>,
    /// The name or address by which agents and kubeconfig reach the API. Without it: the
    /// `external-ip` of the first server, or else its `address`.
    pub endpoint: Option<Written<String>>,
    /// How many seconds a node may take from the start of k3s until it is Ready.
    #[schemars(range(min = 1, max = 7200))]
    pub ready_seconds: Written<u64>,
    /// Any further keys for the config.yaml of servers, as `k3s server --help` names them. Keys
    /// that oceanid sets itself are refused, and so are secrets.
    pub server: Settings,
    /// Any further keys for the config.yaml of agents, as `k3s agent --help` names them. Keys
    /// that oceanid sets itself are refused, and so are secrets.
    pub agent: Settings,
}

impl Default for K3sSection {
    fn default() -> Self {
        Self {
            version: None,
            flannel_backend: FlannelBackend::Vxlan.into(),
            disable: Vec::new(),
            tls_san: Vec::new(),
            endpoint: None,
            ready_seconds: 300.into(),
            server: Settings::new(),
            agent: Settings::new(),
        }
    }
}

/// How pods of different nodes reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FlannelBackend {
    /// Not encrypted, through UDP port 8472.
    Vxlan,
    /// Not encrypted, by plain routes: every node must be on one network.
    HostGw,
    /// Encrypted, through UDP port 51820: for nodes at different places.
    WireguardNative,
    /// No flannel: you bring another network plugin.
    None,
}

/// What k3s brings along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// Names of services inside the cluster.
    Coredns,
    /// Volumes in a folder of the node.
    LocalStorage,
    /// `kubectl top`, and scaling by load.
    MetricsServer,
    /// Runtime classes, which GPU nodes need.
    Runtimes,
    /// The load balancer that listens on every node.
    Servicelb,
    /// The ingress controller.
    Traefik,
}

/// `[[node]]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NodeSection {
    /// The name of the node in Kubernetes: lower-case letters, digits and `-`.
    #[schemars(extend("x-required" = true))]
    pub name: Option<Written<String>>,
    /// What the node is in the cluster.
    #[schemars(extend("x-required" = true))]
    pub role: Option<Written<Role>>,
    /// The name or address to connect to.
    #[schemars(extend("x-required" = true))]
    pub address: Option<Written<String>>,
    /// oceanid runs on this very host, so there is no SSH.
    pub local: Written<bool>,
    /// As `ssh.user`, for this node.
    pub user: Option<Written<String>>,
    /// As `ssh.port`, for this node.
    #[schemars(range(min = 1))]
    pub port: Option<Written<u16>>,
    /// As `ssh.keys`, for this node instead of those.
    pub keys: Option<Vec<Written<String>>>,
    /// As `ssh.jump`, for this node instead of those; `[]` is a direct connection.
    pub jump: Option<Vec<Written<String>>>,
    /// The key that the host must show: `ssh-ed25519 AAAA…` as in `known_hosts`, or its
    /// fingerprint `SHA256:…`. Without it `known_hosts` decides.
    pub host_key: Option<Written<String>>,
    /// As `ssh.sudo-password`, for this node.
    pub sudo_password: Option<Written<SecretRef>>,
    /// The address that the other nodes know it by (`node-ip` of k3s). Without it k3s picks one.
    pub node_ip: Option<Written<String>>,
    /// Its public address (`node-external-ip` of k3s).
    pub external_ip: Option<Written<String>>,
    /// The network interface for traffic between nodes (`flannel-iface` of k3s).
    pub interface: Option<Written<String>>,
    /// Labels that the node has in Kubernetes.
    pub labels: BTreeMap<Written<String>, Written<String>>,
    /// Taints that the node has in Kubernetes: `key=value:Effect` or `key:Effect`.
    pub taints: Vec<Written<String>>,
    /// The node has an NVIDIA GPU. A GPU that is then not found is an error.
    pub gpu: Written<bool>,
    /// The node is behind NAT: the others cannot open a connection to it. Without it that is so
    /// where the node has only private addresses and the first server has a public one.
    pub behind_nat: Option<Written<bool>>,
    /// As `[harden]`, for this node: `harden = { swap = false }`.
    pub harden: Option<Written<HardenSection>>,
}

impl Default for Written<bool> {
    fn default() -> Self {
        false.into()
    }
}

/// `[harden]`, and `harden` of a node.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct HardenSection {
    /// sshd takes keys only, no passwords, and only algorithms that `ssh-audit` finds no fault
    /// with. On unless `false`; the host takes it back by itself if you cannot log in after it.
    pub ssh: Option<Written<bool>>,
    /// Further lines for sshd's drop-in, such as `AllowUsers admin`. Their keywords take the place
    /// of oceanid's own.
    pub sshd: Option<Vec<Written<String>>>,
    /// Who fails to log in again and again is shut out for a while: by sshd itself where it can
    /// (OpenSSH 9.8 and later), otherwise by fail2ban. On unless `false`.
    pub bans: Option<Written<bool>>,
    /// What lets in only what the cluster needs: `ufw` unless `off`. The host takes it back by
    /// itself if you cannot log in after it.
    pub firewall: Option<Written<Firewall>>,
    /// Networks from which SSH and the API may be reached. Without it SSH is open to everybody,
    /// and the API to the nodes and to the address that you came from when the host was hardened
    /// (to everybody where an agent is behind NAT).
    pub admin_networks: Option<Vec<Written<String>>>,
    /// Take `admin-networks` as they are, even if the address that a host sees you come from is
    /// not among them. Otherwise that is refused before anything is changed.
    pub trust_admin_networks: Option<Written<bool>>,
    /// Kernel parameters against spoofing, leaks and link tricks that Kubernetes can live with;
    /// kernel modules that no node needs cannot be loaded; no core dumps. On unless `false`.
    pub kernel: Option<Written<bool>>,
    /// The journal survives reboots and stays below 300 MB. On unless `false`.
    pub journal: Option<Written<bool>>,
    /// Security updates are installed daily, without reboots; NVIDIA, CUDA and Docker packages
    /// are left out on nodes with `gpu = true`. Who upgrades by hand is shown the news of packages.
    /// On unless `false`.
    pub upgrades: Option<Written<bool>>,
    /// After updates `needrestart` tells which services run on with old libraries; updates
    /// restart neither k3s nor Docker. On unless `false`.
    pub needrestart: Option<Written<bool>>,
    /// One time daemon runs, and the clock is in sync. On unless `false`.
    pub time: Option<Written<bool>>,
    /// The kernel records who changes sshd, sudoers, accounts, k3s' tokens and configuration.
    /// Without it on where there are 2 GB of memory or more; never in a container.
    pub audit: Option<Written<bool>>,
    /// A swap file of 1 GB for the host itself. Without it on where there are less than 4 GB of
    /// memory and no swap; never in a container.
    pub swap: Option<Written<bool>>,
    /// A node with `gpu = true` never sleeps: suspend and hibernate are masked. On unless `false`.
    pub sleep: Option<Written<bool>>,
    /// `NetworkManager`, where it runs, leaves the interfaces of pods alone. On unless `false`.
    pub network_manager: Option<Written<bool>>,
    /// cron's and sshd's files are for root alone, and `debsums` looks once a week for changed
    /// files of packages. On unless `false`.
    pub files: Option<Written<bool>>,
    /// A password that is set on the host, for sudo or the console, is not a weak one
    /// (`libpam-pwquality`). On unless `false`.
    pub passwords: Option<Written<bool>>,
}

/// `[gpu]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GpuSection {
    /// The container runtime that hands GPUs to pods.
    pub runtime: Written<GpuRuntime>,
}

impl Default for GpuSection {
    fn default() -> Self {
        Self { runtime: GpuRuntime::Nvidia.into() }
    }
}

/// The container runtime that hands GPUs to pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GpuRuntime {
    /// The NVIDIA container toolkit.
    Nvidia,
}

/// `[triton]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TritonSection {
    /// The container image, with a tag or digest.
    #[schemars(extend("x-required" = true))]
    pub image: Option<Written<String>>,
    /// The folder on the node that holds the models: an absolute path.
    #[schemars(extend("x-required" = true))]
    pub models: Option<Written<String>>,
}

/// `[tunnel]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TunnelSection {
    /// The public name.
    #[schemars(extend("x-required" = true))]
    pub hostname: Option<Written<String>>,
    /// The node that the tunnel ends on.
    #[schemars(extend("x-required" = true))]
    pub node: Option<Written<String>>,
    /// The token of the tunnel, from the dashboard of Cloudflare.
    pub token: Option<Written<SecretRef>>,
}

/// `[sources]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SourcesSection {
    /// The folder above `<version>/k3s` and `<version>/sha256sum-<arch>.txt`.
    pub k3s: Written<String>,
    /// The folder above `<version>/cloudflared-linux-<arch>`.
    pub cloudflared: Written<String>,
    /// The apt repository of the NVIDIA container toolkit.
    pub nvidia: Written<String>,
    /// The key that signs the apt repository of the NVIDIA container toolkit.
    pub nvidia_key: Written<String>,
}

impl Default for SourcesSection {
    fn default() -> Self {
        let written = |url: &str| Written::from(url.to_owned());
        Self {
            k3s: written("https://github.com/k3s-io/k3s/releases/download"),
            cloudflared: written("https://github.com/cloudflare/cloudflared/releases/download"),
            nvidia: written("https://nvidia.github.io/libnvidia-container/stable/deb"),
            nvidia_key: written("https://nvidia.github.io/libnvidia-container/gpgkey"),
        }
    }
}
