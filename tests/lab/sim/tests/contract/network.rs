//! The pod network: services, names and pods across nodes, as flannel and kube-proxy make them.
//!
//! A real k3s would need images to run pods: these tests are for the stand-in alone.

use crate::ground::{Host, Role, agent, is_real, until};

const TUNNEL: &str = "flannel.1";

/// A server and an agent with pods, connected by `backend`; none where a real k3s is tested.
fn cluster(backend: &str) -> Option<[Host; 2]> {
    if is_real() {
        eprintln!("skipped: a real k3s runs no pods without images");
        return None;
    }
    let mut server = Host::new("tethys");
    server.allow_pods();
    server.configure(&format!("cluster-init: true\nflannel-backend: {backend}\n"));
    server.start(Role::Server);
    server.ready();
    server.node_is("tethys", "True");
    let mut agent = agent(&server, "styx", "");
    agent.allow_pods();
    agent.start(Role::Agent);
    agent.ready();
    server.node_is("styx", "True");
    Some([server, agent])
}

fn pods_reach_everything(server: &Host, agent: &Host) {
    for host in [server, agent] {
        assert_eq!(host.pod("curl -skm 2 https://10.43.0.1:443/ping"), "pong");
        let name = "kubernetes.default.svc.cluster.local";
        for transport in ["", "RES_OPTIONS=use-vc "] {
            let found = host.pod(&format!("{transport}getent ahostsv4 {name}"));
            assert!(found.starts_with("10.43.0.1 "), "{found}");
        }
        // Completed by the search list, as in a real pod.
        assert!(host.pod("getent ahostsv4 kubernetes").starts_with("10.43.0.1 "));
        let dns = host.pod("getent ahostsv4 kube-dns.kube-system");
        assert!(dns.starts_with("10.43.0.10 "), "{dns}");
    }
    assert_eq!(agent.pod("curl -sm 2 http://10.42.0.2:8080"), "tethys");
    assert_eq!(server.pod("curl -sm 2 http://10.42.1.2:8080"), "styx");
    // From a node to another's pod, and to a service.
    assert_eq!(server.must("curl -sm 5 http://10.42.1.2:8080").trim(), "styx");
    assert_eq!(agent.must("curl -skm 5 https://10.43.0.1/ping"), "pong");
}

/// flannel's vxlan backend; kube-proxy's iptables mode; `/24` a node, in the order of joining.
#[test]
fn pods_reach_services_names_and_each_other_through_the_tunnel() {
    let Some([server, agent]) = cluster("vxlan") else { return };
    pods_reach_everything(&server, &agent);
    let node = server.node("styx").expect("the node");
    assert_eq!(node["spec"]["podCIDR"], "10.42.1.0/24");
    let annotations = &node["metadata"]["annotations"];
    assert_eq!(annotations["flannel.alpha.coreos.com/public-ip"], agent.address.as_str());
    let link = agent.must(&format!("ip -br link show {TUNNEL}"));
    let hardware = link.split_whitespace().nth(2).expect("a hardware address");
    let data = annotations["flannel.alpha.coreos.com/backend-data"].as_str().expect("data");
    assert_eq!(data, format!("{{\"VNI\":1,\"VtepMAC\":\"{hardware}\"}}"));
    assert_eq!(server.must("cat /proc/sys/net/ipv4/ip_forward").trim(), "1", "facts 1.9");
}

/// flannel's host-gw backend.
#[test]
fn pods_reach_services_names_and_each_other_by_routes() {
    let Some([server, agent]) = cluster("host-gw") else { return };
    pods_reach_everything(&server, &agent);
    let route = server.must("ip route show 10.42.1.0/24");
    assert!(route.starts_with(&format!("10.42.1.0/24 via {}", agent.address)), "{route}");
    assert!(!server.run(&format!("ip link show {TUNNEL}")).status.success());
}

/// facts 1.4: `KillMode=process`, so that pods outlive k3s; 3.3: the order of the chains.
#[test]
fn a_restart_leaves_pods_and_rules_as_they_are() {
    let Some([mut server, mut agent]) = cluster("vxlan") else { return };
    pods_reach_everything(&server, &agent);
    let seen = |host: &Host| {
        host.must(
            "for pod in /run/netns/cni-*; do ip netns pids ${pod##*/}; done; \
             iptables-save | grep -v '^[#:]'; ip -o link | sed 's/ state .*//'; ip route; \
             bridge fdb show dev flannel.1",
        )
    };
    let before = [seen(&server), seen(&agent)];
    for host in [&mut server, &mut agent] {
        host.stop();
        assert_eq!(host.must("curl -sm 2 http://10.42.0.2:8080").trim(), "tethys", "meanwhile");
    }
    server.start(Role::Server);
    server.ready();
    agent.start(Role::Agent);
    agent.ready();
    server.node_is("styx", "True");
    pods_reach_everything(&server, &agent);
    assert_eq!([seen(&server), seen(&agent)], before);
    let forward = server.must("iptables -S FORWARD");
    let place = |chain: &str| forward.find(chain).unwrap_or_else(|| panic!("{chain}: {forward}"));
    assert!(place("-j KUBE-FORWARD") < place("-j FLANNEL-FWD"), "{forward}");
    assert!(forward.trim().ends_with("-j FLANNEL-FWD"), "{forward}");
}

/// facts 3.3 and 1.4: whatever empties the packet filter, its owners fill it again.
#[test]
fn rules_that_somebody_flushed_come_back() {
    let Some([server, agent]) = cluster("vxlan") else { return };
    pods_reach_everything(&server, &agent);
    for table in ["filter", "nat"] {
        agent.must(&format!(
            "iptables -t {table} -F; iptables -t {table} -X; iptables -P FORWARD DROP"
        ));
    }
    pods_reach_everything(&server, &agent);
}

/// What a node leaves behind on the others: nothing.
#[test]
fn the_way_to_a_deleted_node_goes_away() {
    let Some([server, mut agent]) = cluster("vxlan") else { return };
    pods_reach_everything(&server, &agent);
    let ways = || {
        let ways = "ip route show dev flannel.1; ip neigh show dev flannel.1 nud permanent; bridge fdb show dev flannel.1";
        server.must(ways)
    };
    assert_eq!(ways().matches("10.42.1.0").count(), 3, "{}", ways());
    agent.stop();
    server.must("k3s kubectl delete node styx");
    until("the way to go", || ways().is_empty().then_some(()));
}
