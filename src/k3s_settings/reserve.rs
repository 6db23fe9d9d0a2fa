//! What a node keeps for itself: by steps, so that a kernel which finds a little less memory changes nothing.

use super::Arguments;
use crate::cluster::Role;
use crate::facts::Facts;

/// How large the disk below `/var/lib` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// Less than 20 GB: images and logs could fill it.
    Small,
    /// Less than 100 GB.
    Medium,
    /// More, or not known.
    Large,
}

impl Disk {
    /// The disk of a host.
    #[must_use]
    pub fn of(facts: &Facts) -> Self {
        match facts.disk_mib {
            1..20_000 => Self::Small,
            20_000..100_000 => Self::Medium,
            _ => Self::Large,
        }
    }
}

/// Memory in MiB, for hosts with less than `below` MiB.
#[derive(Debug)]
struct Row {
    below: u64,
    system: u64,
    server: u64,
    agent: u64,
    eviction: u64,
}

/// A server's part holds the API and etcd, which are no pods.
const MEMORY: [Row; 5] = [
    Row { below: 768, system: 80, server: 160, agent: 80, eviction: 40 },
    Row { below: 1536, system: 120, server: 300, agent: 120, eviction: 60 },
    Row { below: 3072, system: 200, server: 600, agent: 200, eviction: 100 },
    Row { below: 6144, system: 300, server: 800, agent: 300, eviction: 150 },
    Row { below: 12_288, system: 400, server: 1000, agent: 400, eviction: 200 },
];
const MOST: Row = Row { below: u64::MAX, system: 500, server: 1500, agent: 600, eviction: 500 };

/// What is kept from pods on one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserve {
    /// For systemd, sshd and the like, MiB.
    pub system: u64,
    /// For k3s itself, MiB.
    pub kube: u64,
    /// Pods are evicted when less is available, MiB.
    pub eviction: u64,
    /// Processors for each of the two, thousandths.
    pub cpu: u64,
    disk: Disk,
}

impl Reserve {
    /// What a node of `role` with these facts keeps.
    #[must_use]
    pub fn new(role: Role, facts: &Facts) -> Self {
        let row = MEMORY.iter().find(|row| facts.memory_mib < row.below).unwrap_or(&MOST);
        Self {
            system: row.system,
            kube: if role == Role::Server { row.server } else { row.agent },
            eviction: row.eviction,
            cpu: if facts.cpus < 2 { 50 } else { 100 },
            disk: Disk::of(facts),
        }
    }

    /// As arguments of the kubelet.
    #[must_use]
    pub fn arguments(&self) -> Arguments {
        let Self { system, kube, eviction, cpu, disk } = self;
        // Percent of the disk that stay free, and at which images are cleared away; a log's MB and files.
        let (free, high, low, size, files) = match disk {
            Disk::Small => (10, 75, 65, 5, 3),
            Disk::Medium => (5, 80, 70, 10, 5),
            Disk::Large => (5, 85, 80, 10, 5),
        };
        let mut arguments = Arguments::default();
        arguments.push("system-reserved", format_args!("cpu={cpu}m,memory={system}Mi"));
        arguments.push("kube-reserved", format_args!("cpu={cpu}m,memory={kube}Mi"));
        // It takes the place of k3s' own, which is for disks alone.
        arguments.push(
            "eviction-hard",
            format_args!(
                "memory.available<{eviction}Mi,nodefs.available<{free}%,imagefs.available<{free}%"
            ),
        );
        arguments.push("image-gc-high-threshold", high);
        arguments.push("image-gc-low-threshold", low);
        arguments.push("container-log-max-size", format_args!("{size}Mi"));
        arguments.push("container-log-max-files", files);
        arguments
    }
}
