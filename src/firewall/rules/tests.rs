use std::path::Path;

use super::wanted;
use crate::cluster::{Cluster, Host};
use crate::config;
use crate::facts::{self, Facts};
use crate::firewall::admits_operator;
use crate::remote::Output;

fn example() -> Cluster {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster.toml");
    config::load(&file).expect("the example is valid").cluster
}

/// The facts of a host that sees the operator come from `login`: `root 203.0.113.7 40000 198.51.100.1 22`.
fn facts(login: &str) -> Facts {
    let said = format!(
        "fact clock 1.5\nfact os debian\nfact os-version 12\nfact machine x86_64\nfact kernel 6.1\n\
         fact hostname x\nfact machine-id 1\nfact cpus 2\nfact memory 2000000\n\
         fact disk-free 9000000 4096\nfact login {login}\nfact sshd port 22\nfact sshd port 2222\n\
         2: eth0    inet 157.173.210.123/24 brd 157.173.210.255 scope global eth0\n"
    );
    facts::read(&Output { stdout: said, ..Output::default() }, 1.5).expect("whole facts")
}

const LOGIN: &str = "root 203.0.113.7 40000 157.173.210.123 22";

fn host<'a>(cluster: &'a Cluster, name: &str) -> &'a Host {
    cluster.host(name).expect("it is in the example")
}

fn host_mut<'a>(cluster: &'a mut Cluster, name: &str) -> &'a mut Host {
    cluster.hosts.iter_mut().find(|host| host.name == name).expect("it is in the example")
}

/// The commands for `name`, without `ufw allow` and `oceanid:`.
fn commands(cluster: &Cluster, name: &str) -> Vec<String> {
    let wanted = wanted(cluster, host(cluster, name), &facts(LOGIN));
    let short = |rule: &super::Rule| {
        rule.to_string().replace("ufw allow ", "").replace("comment 'oceanid: ", "'")
    };
    wanted.rules.iter().map(short).collect()
}

fn notes(cluster: &Cluster, name: &str) -> Vec<String> {
    wanted(cluster, host(cluster, name), &facts(LOGIN)).notes
}

#[test]
fn the_server_of_the_example_is_open_where_a_node_behind_nat_needs_it() {
    let expected = [
        "22/tcp 'ssh'",
        "2222/tcp 'ssh'",
        "6443/tcp 'api'",
        "from 191.101.1.3 to any port 10250 proto tcp 'kubelet'",
        "from 140.238.138.35 to any port 10250 proto tcp 'kubelet'",
        "51820/udp 'pods between nodes'",
        "from 10.42.0.0/16 'pods'",
        "from 10.43.0.0/16 'services'",
    ];
    assert_eq!(commands(&example(), "tethys"), expected);
    assert_eq!(
        notes(&example(), "tethys"),
        [
            "6443/tcp (the API) is open to everybody: calypso is behind NAT, at an address nobody knows",
            "51820/udp (WireGuard, encrypted) is open to everybody: calypso is behind NAT, at an address nobody knows",
        ]
    );
}

#[test]
fn a_node_behind_nat_knows_where_the_others_come_from() {
    let wireguard =
        |address: &str| format!("from {address} to any port 51820 proto udp 'pods between nodes'");
    let commands = commands(&example(), "calypso");
    for address in ["157.173.210.123", "191.101.1.3", "140.238.138.35"] {
        assert!(commands.contains(&wireguard(address)), "{commands:?}");
    }
    assert!(commands.iter().all(|command| !command.contains("6443")), "it is no server");
    assert_eq!(notes(&example(), "calypso"), Vec::<String>::new());
}

#[test]
fn without_nat_the_api_is_for_nodes_and_whoever_hardened_the_host() {
    let mut cluster = example();
    cluster.hosts.retain(|host| host.name != "calypso");
    let api: Vec<String> =
        commands(&cluster, "tethys").into_iter().filter(|line| line.contains("6443")).collect();
    let from = |address: &str| format!("from {address} to any port 6443 proto tcp 'api'");
    assert_eq!(api, ["191.101.1.3", "140.238.138.35", "203.0.113.7"].map(from));
    // Its own packets come back from outside where the address is on none of its interfaces.
    host_mut(&mut cluster, "tethys").external_ip = "157.173.210.9".parse().ok();
    assert!(commands(&cluster, "tethys").contains(&from("157.173.210.9")));
}

#[test]
fn admin_networks_close_ssh_to_all_but_them_and_the_nodes_on_the_way() {
    let mut cluster = example();
    cluster.hosts.retain(|host| host.name != "calypso");
    for host in &mut cluster.hosts {
        host.harden.admin_networks = ["203.0.113.0/24", "2001:db8::/32"]
            .map(|network| network.parse().expect("CIDR"))
            .into();
    }
    host_mut(&mut cluster, "meliae").ssh.jump = vec![String::from("styx")];
    let of = |cluster: &Cluster, name: &str, port: &str| -> Vec<String> {
        commands(cluster, name).into_iter().filter(|line| line.contains(port)).collect()
    };
    assert_eq!(
        of(&cluster, "meliae", "port 22 "),
        [
            "from 203.0.113.0/24 to any port 22 proto tcp 'ssh'",
            "from 2001:db8::/32 to any port 22 proto tcp 'ssh'",
            "from 191.101.1.3 to any port 22 proto tcp 'ssh through a node'",
        ]
    );
    let api = of(&cluster, "tethys", "6443");
    assert!(api.iter().any(|line| line.starts_with("from 2001:db8::/32 ")), "{api:?}");
    assert!(api.iter().all(|line| !line.contains("203.0.113.7 ")), "{api:?}");
    host_mut(&mut cluster, "styx").harden.admin_networks = vec!["0.0.0.0/0".parse().expect("CIDR")];
    let halves = ["0.0.0.0/1", "128.0.0.0/1"]
        .map(|half| format!("from {half} to any port 22 proto tcp 'ssh'"));
    assert_eq!(of(&cluster, "styx", "port 22 "), halves);
}

#[test]
fn etcd_is_for_servers_and_vxlan_for_known_nodes_alone() {
    let mut cluster = example();
    cluster.k3s.flannel_backend = String::from("vxlan");
    host_mut(&mut cluster, "styx").role = crate::cluster::Role::Server;
    let of = |name: &str, part: &str| -> Vec<String> {
        commands(&cluster, name).into_iter().filter(|line| line.contains(part)).collect()
    };
    let etcd = |from: &str| [format!("from {from} to any port 2379:2380 proto tcp 'etcd'")];
    assert_eq!(of("tethys", "etcd"), etcd("191.101.1.3"));
    assert_eq!(of("styx", "etcd"), etcd("157.173.210.123"));
    assert_eq!(of("meliae", "etcd"), Vec::<String>::new());
    let vxlan = |from: &str| format!("from {from} to any port 8472 proto udp 'pods between nodes'");
    assert_eq!(of("meliae", "8472"), ["157.173.210.123", "191.101.1.3"].map(vxlan));
    for backend in ["host-gw", "none"] {
        cluster.k3s.flannel_backend = String::from(backend);
        assert!(commands(&cluster, "meliae").iter().all(|line| !line.contains("udp")), "{backend}");
    }
}

#[test]
fn pods_with_ipv6_addresses_come_through_a_second_port() {
    let mut cluster = example();
    cluster.k3s.pod_cidr = "fd42::/48".parse().expect("CIDR");
    cluster.k3s.service_cidr = "fd43::/112".parse().expect("CIDR");
    let commands = commands(&cluster, "styx");
    assert!(commands.iter().any(|line| line.starts_with("51821/udp ")), "{commands:?}");
    assert!(commands.contains(&String::from("from fd42::/48 'pods'")), "{commands:?}");
}

#[test]
fn nothing_speaks_of_flannel_or_opens_node_ports() {
    for host in &example().hosts {
        for command in commands(&example(), &host.name) {
            assert!(!command.contains("flannel") && !command.contains("30000"), "{command}");
        }
    }
}

#[test]
fn networks_that_lock_the_operator_out_are_refused() {
    let mut cluster = example();
    let refused = |cluster: &Cluster, login: &str| {
        admits_operator(cluster, host(cluster, "meliae"), &facts(login)).err()
    };
    assert!(refused(&cluster, LOGIN).is_none(), "without networks everybody may come");
    host_mut(&mut cluster, "meliae").harden.admin_networks =
        vec!["192.0.2.0/24".parse().expect("CIDR")];
    let error = format!("{:#}", refused(&cluster, LOGIN).expect("it is refused"));
    assert!(error.contains("203.0.113.7") && error.contains("trust-admin-networks"), "{error}");
    assert!(refused(&cluster, "root 192.0.2.9 40000 198.51.100.1 22").is_none(), "it is within");
    assert!(refused(&cluster, "root").is_none(), "at the console there is no address");
    host_mut(&mut cluster, "meliae").ssh.jump = vec![String::from("styx")];
    assert!(refused(&cluster, "root 191.101.1.3 40000 198.51.100.1 22").is_none(), "by a node");
    host_mut(&mut cluster, "meliae").ssh.jump = vec![String::from("me@203.0.113.7:2200")];
    assert!(refused(&cluster, LOGIN).is_none(), "by a host on the way");
    host_mut(&mut cluster, "meliae").ssh.jump.clear();
    host_mut(&mut cluster, "meliae").harden.trust_admin_networks = true;
    assert!(refused(&cluster, LOGIN).is_none(), "it is trusted");
}
