//! What is proposed for hosts that say this and that.

use std::fmt::Write as _;
use std::net::IpAddr;

use insta::assert_snapshot;
use oceanid::config::{self, Loaded, Paint};
use oceanid::facts;
use oceanid::init::{Additions, Entry, Found, Sight, document, propose};
use oceanid::remote::Output;

/// A host as it answers: changed by what each test is about.
struct Host {
    typed: &'static str,
    hostname: &'static str,
    memory_mib: u64,
    addresses: &'static [&'static str],
    wireguard: bool,
    sight: &'static str,
    from: &'static str,
    gpu: Gpu,
}

/// What of a GPU is there.
#[derive(Clone, Copy, PartialEq)]
enum Gpu {
    None,
    Idle,
    Driven,
}

const HOST: Host = Host {
    typed: "root@192.0.2.10",
    hostname: "tethys",
    memory_mib: 1960,
    addresses: &["192.0.2.10/24"],
    wireguard: true,
    sight: "see virtual kvm\n",
    from: "198.18.0.7",
    gpu: Gpu::None,
};

impl Host {
    fn found(&self) -> Found {
        let entry: Entry = self.typed.parse().expect("a host");
        let mut said = format!(
            "fact clock 1.0\nfact os debian\nfact os-version 12\nfact machine x86_64\nfact kernel 6.1.0\n\
             fact hostname {}\nfact machine-id {}\nfact cpus 0-1\nfact memory {}\n\
             fact disk-free 1000000 4096\nfact cgroups cpuset cpu io memory pids\n\
             fact login root {} 50000 192.0.2.10 22\n",
            self.hostname,
            self.hostname,
            self.memory_mib * 1024,
            self.from,
        );
        for (index, address) in self.addresses.iter().enumerate() {
            let _ = writeln!(said, "2: eth{index}    inet {address} scope global eth{index}");
        }
        if self.wireguard {
            said.push_str("fact has-wireguard yes\n");
        }
        if self.gpu != Gpu::None {
            said.push_str("fact gpu 0000:01:00.0 0x2684\nfact gpu-asked yes\n");
        }
        if self.gpu == Gpu::Driven {
            said.push_str(
                "fact list gpu-smi\n0, NVIDIA GeForce RTX 4090, GPU-1, 570.86.15, 24564, 1, 0, 40, 8.9, \
                 Enabled\nfact gpu-smi-status 0\n",
            );
        }
        let output = Output { stdout: said, ..Output::default() };
        Found {
            ip: entry.address.parse::<IpAddr>().ok(),
            entry,
            host_key: format!("SHA256:{}", "A".repeat(43)),
            wants_password: false,
            facts: facts::read(&output, 1.0).expect("a host's facts"),
            sight: Sight::read(self.sight),
        }
    }
}

/// The proposed text, which is always valid.
fn text(hosts: &[Host]) -> (String, Loaded) {
    let found: Vec<Found> = hosts.iter().map(Host::found).collect();
    let text = document::render(&propose("ocean", &found).tables(&found));
    let loaded = config::parse("cluster.toml", &text)
        .unwrap_or_else(|invalid| panic!("{}\n{text}", invalid.render(Paint::Plain)));
    (text, loaded)
}

fn titles(loaded: &Loaded) -> Vec<&str> {
    loaded.warnings.iter().map(config::Diagnostic::title).collect()
}

const STYX: Host = Host {
    typed: "root@198.51.100.20",
    hostname: "styx",
    addresses: &["198.51.100.20/24"],
    ..HOST
};

/// 1 GB, and an address that the provider leads to it.
const MELIAE: Host = Host {
    typed: "ubuntu@203.0.113.30",
    hostname: "meliae.subnet.vcn.oraclevcn.com",
    memory_mib: 960,
    addresses: &["10.0.0.5/24"],
    sight: "see maker QEMU\nsee maker OracleCloud.com\nsee virtual kvm\nsee rejects /etc/iptables/rules.v4\n",
    ..HOST
};

/// At home, behind the router, with a GPU.
const CALYPSO: Host = Host {
    typed: "oceanid@192.168.2.68 jump=gate@203.0.113.1",
    hostname: "calypso",
    memory_mib: 32000,
    addresses: &["192.168.2.68/24"],
    sight: "see maker ASUS\nsee virtual none\n",
    gpu: Gpu::Driven,
    ..HOST
};

#[test]
fn four_machines_at_three_places_get_roles_and_reasons() {
    let (text, loaded) = text(&[STYX, HOST, MELIAE, CALYPSO]);
    assert_snapshot!(text);
    let cluster = &loaded.cluster;
    assert_eq!(cluster.first_server().name, "styx", "the first of those that are alike");
    assert_eq!(cluster.k3s.flannel_backend, "wireguard-native");
    let calypso = cluster.host("calypso").expect("it is there");
    assert!(calypso.behind_nat && calypso.gpu);
    assert_eq!(calypso.external_ip, None);
    let meliae = cluster.host("meliae").expect("its own name");
    assert_eq!(meliae.external_ip, "203.0.113.30".parse().ok());
    assert_eq!(meliae.labels["oceanid.node/provider"], "oracle");
}

#[test]
fn public_nodes_at_two_providers_speak_encrypted() {
    let (text, loaded) = text(&[HOST, STYX]);
    assert_eq!(loaded.cluster.k3s.flannel_backend, "wireguard-native");
    assert!(loaded.cluster.hosts.iter().all(|host| host.external_ip.is_some()), "{text}");
    assert_eq!(titles(&loaded), [""; 0]);
    // The operator's address is offered, and not put into force.
    assert!(text.contains("# admin-networks = [\"198.18.0.7/32\"]"), "{text}");
    assert!(loaded.cluster.hosts[0].harden.admin_networks.is_empty());
}

#[test]
fn without_wireguard_it_is_said_that_nothing_is_encrypted() {
    let (text, loaded) = text(&[HOST, Host { wireguard: false, ..STYX }]);
    assert_eq!(loaded.cluster.k3s.flannel_backend, "vxlan");
    assert!(text.contains("NOT encrypted: styx has a kernel without WireGuard"), "{text}");
}

#[test]
fn one_private_network_needs_no_encryption_and_no_public_address() {
    const FIRST: Host = Host {
        typed: "root@192.168.1.2",
        addresses: &["192.168.1.2/24"],
        sight: "see virtual none\n",
        ..HOST
    };
    const SECOND: Host = Host {
        typed: "root@192.168.1.3",
        hostname: "styx",
        addresses: &["172.20.0.3/24", "192.168.1.3/24"],
        sight: "see virtual none\n",
        ..HOST
    };
    let (text, loaded) = self::text(&[FIRST, SECOND]);
    assert_eq!(loaded.cluster.k3s.flannel_backend, "host-gw", "{text}");
    let styx = loaded.cluster.host("styx").expect("it is there");
    assert_eq!(styx.node_ip, "192.168.1.3".parse().ok(), "which of its addresses is meant");
    assert_eq!(styx.interface.as_deref(), Some("eth1"));
    assert_eq!(loaded.cluster.host("tethys").and_then(|host| host.node_ip), None);
    assert!(loaded.cluster.hosts.iter().all(|host| host.external_ip.is_none() && !host.behind_nat));
    assert!(titles(&loaded).iter().all(|title| title.contains("is a private address")), "{text}");
    let virtual_ = |host: Host| Host { sight: "see virtual kvm\n", ..host };
    let (_, loaded) = self::text(&[virtual_(FIRST), virtual_(SECOND)]);
    assert_eq!(loaded.cluster.k3s.flannel_backend, "vxlan");
    // Equal numbers behind another jump host are another network.
    let elsewhere = Host { typed: "root@192.168.1.3 jump=gate@203.0.113.1", ..SECOND };
    let (_, loaded) = self::text(&[FIRST, elsewhere]);
    assert_eq!(loaded.cluster.k3s.flannel_backend, "wireguard-native");
}

#[test]
fn the_server_is_reached_by_all_and_has_memory_and_no_gpu() {
    let server = |hosts: &[Host]| text(hosts).1.cluster.first_server().name.clone();
    assert_eq!(server(&[MELIAE, HOST]), "tethys", "1 GB is too little");
    assert_eq!(server(&[CALYPSO, MELIAE]), "meliae", "nobody reaches calypso");
    let big = Host { memory_mib: 7900, ..STYX };
    assert_eq!(server(&[HOST, big]), "styx", "the most memory");
    let gpu = Host { memory_mib: 64000, sight: CALYPSO.sight, gpu: Gpu::Driven, ..STYX };
    assert_eq!(server(&[gpu, HOST]), "tethys", "the GPU is left to workloads");
    let (text, loaded) = text(&[MELIAE]);
    assert_eq!(loaded.cluster.first_server().name, "meliae", "there is no other");
    assert!(text.contains("adds a swap file"), "{text}");
    assert!(text.contains("rejects in iptables"), "{text}");
}

#[test]
fn two_nodes_behind_one_router_share_a_site() {
    const BESIDE: Host = Host {
        typed: "root@192.168.2.69 jump=gate@203.0.113.1",
        hostname: "beside",
        addresses: &["192.168.2.69/24"],
        sight: "see virtual none\n",
        ..HOST
    };
    let (text, loaded) = text(&[HOST, CALYPSO, BESIDE]);
    let site = |name: &str| loaded.cluster.host(name).and_then(|host| host.site.clone());
    assert_eq!(site("calypso").as_deref(), Some("home"), "{text}");
    assert_eq!(site("beside"), site("calypso"));
    assert_eq!(site("tethys"), None);
    let warned = titles(&loaded).iter().any(|title| title.contains("never reach each other"));
    assert!(!warned, "{:?}", titles(&loaded));
}

#[test]
fn a_port_that_a_router_leads_home_is_not_a_public_node() {
    let forwarded = Host { typed: "root@203.0.113.9:2222", hostname: "attic", ..CALYPSO };
    let (text, loaded) = text(&[HOST, forwarded]);
    let attic = loaded.cluster.host("attic").expect("it is there");
    assert!(attic.behind_nat || text.contains("behind-nat = true"), "{text}");
    assert_eq!(attic.external_ip, None);
}

#[test]
fn a_gpu_without_a_driver_is_offered_and_not_claimed() {
    let idle = Host { sight: "see virtual none\n", gpu: Gpu::Idle, ..CALYPSO };
    let (text, loaded) = text(&[HOST, idle]);
    assert!(!loaded.cluster.host("calypso").expect("it is there").gpu);
    assert!(text.contains("\n# gpu = true\n"), "{text}");
}

#[test]
fn hosts_of_one_name_get_different_ones() {
    let twin = Host { hostname: "tethys", ..STYX };
    let nameless = Host { hostname: "localhost", typed: "root@192.0.2.77", ..STYX };
    let chosen = Host { typed: "root@192.0.2.78 name=naiad", ..STYX };
    let (_, loaded) = text(&[HOST, twin, nameless, chosen]);
    let names: Vec<&str> = loaded.cluster.hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names, ["tethys", "tethys-2", "node-3", "naiad"]);
}

#[test]
fn what_is_brought_along_goes_before_what_is_proposed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mirrors.toml");
    let text = "[k3s]\nversion = \"v1.36.3+k3s1\"\nserver = { kubelet-arg = [\"max-pods=50\"] }\n\
                [sources]\nk3s = \"https://mirror.example/k3s\"\n";
    std::fs::write(&file, text).expect("ours");
    let additions = Additions::read(&file).expect("sections");
    let found = [HOST.found(), STYX.found()];
    let tables = additions.merge(propose("ocean", &found).tables(&found));
    let text = document::render(&tables);
    let loaded = config::parse("cluster.toml", &text).expect("valid");
    assert_eq!(loaded.cluster.k3s.version, "v1.36.3+k3s1");
    assert_eq!(loaded.cluster.sources.k3s, "https://mirror.example/k3s");
    assert_eq!(loaded.cluster.k3s.flannel_backend, "wireguard-native", "what was proposed stays");
    assert!(loaded.cluster.k3s.server.contains_key("kubelet-arg"), "{text}");
    assert_eq!(text.matches("version = ").count(), 1, "{text}");
    std::fs::write(&file, "[[node]]\nname = \"x\"\n").expect("ours");
    let refused = Additions::read(&file).expect_err("nodes come from elsewhere").to_string();
    assert!(refused.contains("[[node]]"), "{refused}");
}
