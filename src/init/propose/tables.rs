//! The proposal as sections of cluster.toml.

use toml::Value;

use super::super::document::{Further, Line, Table, way};
use super::super::network::{Standing, interfaces, shared};
use super::{Found, Proposal, has_public};

/// What is sold as 1 GB, MiB.
const SMALL: u64 = 1200;

impl Proposal {
    /// The sections, with the reasons of their lines.
    #[must_use]
    pub fn tables(&self, found: &[Found]) -> Vec<Table> {
        let mut tables = vec![self.head(), self.cluster(), self.k3s(found)];
        for (index, one) in found.iter().enumerate() {
            tables.push(self.node(index, one, found));
        }
        tables.push(harden(found));
        if found.iter().any(|one| !one.gpus().is_empty()) {
            tables.push(gpu());
        }
        tables
    }

    fn head(&self) -> Table {
        let about = format!(
            "The cluster `{}`, as `oceanid init` proposes it; every line can be changed. `oceanid docs KEY` \
             explains a key, `oceanid validate` finds mistakes, and `oceanid plan --diff` shows what it \
             comes to.",
            self.cluster
        );
        Table { about: vec![about], ..Table::default() }
    }

    fn cluster(&self) -> Table {
        Table {
            header: String::from("[cluster]"),
            lines: vec![Line::new("name", self.cluster.as_str(), "")],
            ..Table::default()
        }
    }

    fn k3s(&self, found: &[Found]) -> Table {
        let why =
            "A channel; `oceanid.lock` keeps what it came to, until `oceanid lock` asks again.";
        let mut lines = vec![Line::new("version", "stable", why)];
        lines.push(Line::new("flannel-backend", self.backend.name, &self.backend.why));
        let old = found.iter().filter(|one| one.facts.cgroups.iter().any(|name| name == "v1"));
        let old: Vec<&str> = old.map(|one| one.facts.hostname.as_str()).collect();
        let mut about = Vec::new();
        if !old.is_empty() {
            about.push(format!(
                "Kubernetes refuses cgroups of version 1 from 1.35 on; {} has them: boot it with \
                 `systemd.unified_cgroup_hierarchy=1`.",
                old.join(", ")
            ));
        }
        Table { header: String::from("[k3s]"), about, lines, ..Table::default() }
    }

    fn node(&self, index: usize, one: &Found, found: &[Found]) -> Table {
        let is_server = index == self.server;
        let (role, why) =
            if is_server { ("server", self.why_server.as_str()) } else { ("agent", "") };
        let name = self.names.get(index).map_or("", String::as_str);
        let mut lines = vec![Line::new("name", name, ""), Line::new("role", role, why)];
        lines.extend(way(&one.entry));
        let why = if one.entry.host_key.is_some() {
            "Given: no other key is accepted."
        } else {
            "The key that it showed, and that was known or compared: no other is accepted."
        };
        lines.push(Line::new("host-key", one.host_key.as_str(), why));
        lines.extend(place(one, found));
        lines.extend(kind(one));
        Table {
            header: String::from("[[node]]"),
            about: about(one),
            lines,
            further: further(one, name),
        }
    }
}

/// What a person wants to see before believing the rest.
fn about(one: &Found) -> Vec<String> {
    let facts = &one.facts;
    let memory = if facts.memory_mib < 1024 {
        format!("{} MB", facts.memory_mib)
    } else {
        format!("{} GB", (facts.memory_mib + 512) / 1024)
    };
    let machine = match (&one.sight.virtualised, facts.hardware.as_str()) {
        (Some(kind), _) => format!(", {kind}"),
        (None, "") => String::new(),
        (None, hardware) => format!(", {hardware}"),
    };
    let system = if facts.os == "ubuntu" { "Ubuntu" } else { "Debian" };
    let cpus = if facts.cpus == 1 { "1 cpu" } else { &format!("{} cpus", facts.cpus) };
    let mut about = vec![format!(
        "{system} {}, {}, {cpus}, {memory}{machine}.",
        facts.os_version, facts.machine
    )];
    if facts.memory_mib < SMALL {
        about.push(String::from(
            "Small: hardening adds a swap file, and the kubelet keeps memory for the host itself.",
        ));
    }
    if one.sight.rejects {
        about.push(String::from(
            "Its image rejects in iptables all that it does not know; hardening takes those rules out and \
             lets ufw decide. Its provider's security list has to let UDP 51820, and TCP 6443 to a server, in.",
        ));
    }
    if facts.has_k3s {
        about.push(String::from(
            "k3s is on it already: `oceanid plan` shows what would become of that.",
        ));
    }
    about
}

/// Its addresses, and who reaches it.
fn place(one: &Found, found: &[Found]) -> Vec<Line> {
    let all: Vec<&Found> = found.iter().collect();
    if found.len() > 1
        && let Some(members) = shared(&all)
    {
        let own = found.iter().zip(members).find(|(other, _)| std::ptr::eq(*other, one));
        // Where there is only one address k3s takes it by itself.
        return match own.filter(|_| interfaces(&one.facts).len() > 1) {
            Some((_, (name, ip))) => vec![
                Line::new(
                    "node-ip",
                    ip.to_string(),
                    "Of its addresses the one that all nodes share.",
                ),
                Line::new("interface", name, ""),
            ],
            None => Vec::new(),
        };
    }
    match Standing::of(one) {
        Standing::Public(ip) => {
            vec![Line::new("external-ip", ip.to_string(), "Its own public address.")]
        }
        Standing::Mapped(ip) => {
            let why = "Its provider leads this address to it; it does not have it itself.";
            vec![Line::new("external-ip", ip.to_string(), why)]
        }
        Standing::Forwarded => {
            let why = "A router leads one port to it, which is not enough for pods: it opens the ways itself.";
            vec![Line::new("behind-nat", true, why)]
        }
        Standing::Private if has_public(found) => {
            let why = "The others cannot open a connection to it, since its addresses are private: it opens \
                       the ways itself, and keeps them open.";
            let mut lines = vec![Line::new("behind-nat", true, why)];
            lines.extend(site(one, found));
            lines
        }
        Standing::Private => Vec::new(),
    }
}

/// Nodes behind the same router find each other without it.
fn site(one: &Found, found: &[Found]) -> Option<Line> {
    let beside = found.iter().filter(|other| !std::ptr::eq(*other, one));
    let mut beside = beside.filter(|other| shared(&[one, other]).is_some());
    beside.next()?;
    Some(Line::new("site", "home", "It shares a private network with others there."))
}

/// What it has that others have not.
fn kind(one: &Found) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut labels = toml::Table::new();
    if let Some(provider) = one.sight.provider {
        labels.insert("oceanid.node/provider".to_owned(), Value::from(provider));
    }
    let gpus = one.gpus();
    if let Some(gpu) = gpus.first() {
        let count = match gpus.len() {
            1 => String::new(),
            more => format!(", {more} of them"),
        };
        lines.push(Line::new("gpu", true, &format!("{gpu}{count}; its driver answers.")));
        labels.insert("workload-type".to_owned(), Value::from("gpu-compute"));
        let why = "Only pods that ask for the GPU are placed there.";
        lines.push(Line::new("taints", vec!["nvidia.com/gpu=present:NoSchedule"], why));
    }
    if !labels.is_empty() {
        lines.push(Line::new("labels", labels, ""));
    }
    lines
}

/// What only the operator can decide.
fn further(one: &Found, name: &str) -> Vec<Further> {
    let mut further = Vec::new();
    if one.wants_password {
        let variable = format!("{}_SUDO", name.to_uppercase().replace(['-', '.'], "_"));
        further.push(Further {
            text: format!("sudo-password = {{ env = \"{variable}\" }}"),
            why: String::from(
                "sudo wants a password there: oceanid asks for it, or takes it from here:",
            ),
        });
    }
    if one.has_idle_gpu() {
        further.push(Further {
            text: String::from("gpu = true"),
            why: String::from(
                "A GPU of NVIDIA is in it, but no driver answers. Once `nvidia-smi` works there:",
            ),
        });
    }
    further
}

fn harden(found: &[Found]) -> Table {
    let from = found.iter().find_map(|one| one.facts.login.from).filter(|_| {
        // Behind a jump host the address is that of the jump host.
        found.iter().all(|one| one.entry.jump.is_empty())
    });
    let from = from.map_or_else(|| String::from("203.0.113.7"), |from| from.to_string());
    let prefix = if from.contains(':') { 128 } else { 32 };
    Table {
        header: String::from("[harden]"),
        about: vec![String::from(
            "On by default: sshd takes keys only, ufw lets in what the cluster needs, security updates \
             come by themselves. `oceanid docs harden` explains each part.",
        )],
        lines: Vec::new(),
        further: vec![Further {
            text: format!("admin-networks = [\"{from}/{prefix}\"]"),
            why: String::from(
                "SSH and the API are open to everybody. If your address stays the same, close them to others:",
            ),
        }],
    }
}

fn gpu() -> Table {
    Table {
        header: String::from("[gpu]"),
        lines: vec![Line::new("runtime", "nvidia", "Containers of pods reach the GPU through it.")],
        further: vec![Further {
            text: String::from("[triton]"),
            why: String::from(
                "An inference server beside k3s; `oceanid docs triton` explains its keys:",
            ),
        }],
        ..Table::default()
    }
}
