//! What k3s is told on a host of each size, and how cluster.toml's own arguments stand among ours.

use insta::assert_snapshot;
use oceanid::cluster::{Cluster, Role};
use oceanid::facts::{self, Facts};
use oceanid::k3s_settings::{self, Disk, Reserve};
use oceanid::remote::Output;
use proptest::prelude::*;
use serde_json::Value;

use super::{LEAST, valid};

fn facts(memory: u64, disk: u64, cpus: u64) -> Facts {
    let said = format!(
        "fact clock 1.5\nfact os debian\nfact machine x86_64\nfact kernel 6.1\nfact hostname x\n\
         fact machine-id 0123\nfact cpus 0-{}\nfact memory {}\nfact disk-free 900000 4096\n\
         fact disk-size {} 1048576\n",
        cpus - 1,
        memory * 1024,
        disk
    );
    facts::read(&Output { stdout: said, ..Output::default() }, 1.5).expect("whole facts")
}

/// The least cluster with `k3s` in its section, and an agent at home.
fn cluster(k3s: &str) -> Cluster {
    let first = LEAST.replace("[[node]]", &format!("{k3s}\n[[node]]"));
    valid(&format!(
        "{first}external-ip = \"192.0.2.1\"\n[[node]]\nname = \"home\"\nrole = \"agent\"\naddress = \"10.0.0.2\"\njump = [\"one\"]\n"
    ))
}

fn server(cluster: &Cluster, facts: &Facts) -> String {
    let mut keys = k3s_settings::server(cluster, &cluster.hosts[0], facts).expect("settings");
    k3s_settings::add(&mut keys, &cluster.k3s.server);
    k3s_settings::yaml(&keys).expect("YAML")
}

fn agent(cluster: &Cluster, facts: &Facts) -> String {
    let mut keys = k3s_settings::agent(cluster, &cluster.hosts[1], facts).expect("settings");
    k3s_settings::add(&mut keys, &cluster.k3s.agent);
    k3s_settings::yaml(&keys).expect("YAML")
}

#[test]
fn a_small_server_and_a_large_agent_are_told_all_this() {
    let cluster = cluster("");
    let small = server(&cluster, &facts(1967, 48_000, 2));
    let large = agent(&cluster, &facts(31_900, 900_000, 16));
    assert_snapshot!(format!("#### server of 2 GB\n{small}\n#### agent of 32 GB\n{large}"));
}

#[test]
fn what_is_switched_off_is_not_there() {
    let off = "cis = false\nreserve = false\nsecrets-encryption = false\ndatastore = \"sqlite\"\nflannel-backend = \"vxlan\"";
    let cluster = cluster(off);
    let facts = facts(1967, 48_000, 2);
    assert_snapshot!(format!("{}\n{}", server(&cluster, &facts), agent(&cluster, &facts)));
}

#[test]
fn an_argument_of_the_users_replaces_ours_of_the_same_name_and_no_other() {
    let further = "server = { \"kubelet-arg+\" = [\"eviction-hard=memory.available<1Gi\", \"--max-pods=50\"], \
                   kubelet-arg = [\"v=2\", \"v=4\"], disable-cloud-controller = true, debug = true }";
    let cluster = cluster(further);
    let facts = facts(1967, 48_000, 2);
    let mut keys = k3s_settings::server(&cluster, &cluster.hosts[0], &facts).expect("settings");
    let ours = keys["kubelet-arg"].as_array().expect("a list").clone();
    k3s_settings::add(&mut keys, &cluster.k3s.server);
    let text = |list: &[Value]| -> Vec<String> {
        list.iter().map(|entry| entry.as_str().expect("text").to_owned()).collect()
    };
    let (ours, all) = (text(&ours), text(keys["kubelet-arg"].as_array().expect("a list")));
    let kept: Vec<&String> =
        ours.iter().filter(|entry| !entry.starts_with("eviction-hard")).collect();
    let (first, last) = all.split_at(kept.len());
    assert_eq!(first.iter().collect::<Vec<_>>(), kept);
    assert_eq!(last, ["v=2", "v=4", "eviction-hard=memory.available<1Gi", "--max-pods=50"]);
    assert_eq!(keys["debug"], true);
}

#[test]
fn what_is_kept_from_pods_by_size() {
    let mut table = String::from("size  server  agent  left to pods of a server, of an agent\n");
    for (name, memory, disk, cpus) in [
        ("1 GB", 957, 46_000, 1),
        ("2 GB", 1967, 48_000, 2),
        ("4 GB", 3915, 9_000, 2),
        ("32 GB", 31_900, 900_000, 16),
    ] {
        let facts = facts(memory, disk, cpus);
        let of = |role| Reserve::new(role, &facts);
        let kept = |reserve: Reserve| reserve.system + reserve.kube + reserve.eviction;
        let (server, agent) = (kept(of(Role::Server)), kept(of(Role::Agent)));
        let line = format!(
            "{name}  {server}  {agent}  {} {} {:?}\n",
            memory - server,
            memory - agent,
            Disk::of(&facts)
        );
        table.push_str(&line);
        assert!(memory - server >= memory / 3, "{name}: a server keeps a third for pods");
        assert!(memory - agent >= memory / 2, "{name}: an agent keeps half for pods");
    }
    assert_snapshot!(table);
}

proptest! {
    #[test]
    fn something_is_left_to_pods_of_any_size(memory in 480_u64..2_000_000, disk in 0_u64..4_000_000, cpus in 1_u64..256) {
        let facts = facts(memory, disk, cpus);
        for role in [Role::Server, Role::Agent] {
            let reserve = Reserve::new(role, &facts);
            prop_assert!(reserve.system + reserve.kube + reserve.eviction < memory);
            prop_assert!(2 * reserve.cpu < 1000 * cpus);
        }
    }

    #[test]
    fn a_larger_host_leaves_no_less_to_pods(memory in 480_u64..200_000) {
        let left = |memory: u64| {
            let reserve = Reserve::new(Role::Agent, &facts(memory, 50_000, 2));
            memory - reserve.system - reserve.kube - reserve.eviction
        };
        // At a step of the table a host may leave a little less than the one below it.
        prop_assert!(left(memory * 2) >= left(memory));
    }
}
