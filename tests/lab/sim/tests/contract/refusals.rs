//! When k3s does not start: what it says and how it ends.

use crate::ground::{Host, Role, agent, is_real, server};

/// observed: unknown key `bogus-key` in config.yaml: the usage, non-zero at once.
#[test]
fn an_unknown_key_ends_it_at_once() {
    for role in [Role::Server, Role::Agent] {
        let mut host = Host::new("tethys");
        host.configure("server: https://10.213.0.9:6443\ntoken: x\nbogus-key: 1\n");
        host.start(role);
        assert_ne!(host.exit_code(), 0);
        host.logged("flag provided but not defined: -bogus-key", 1);
        assert!(host.log().contains("Incorrect Usage"), "{}", host.log());
    }
}

/// facts 1.6: one configuration is never shared between the roles.
#[test]
fn a_key_of_servers_ends_an_agent() {
    let mut host = Host::new("styx");
    host.configure("server: https://10.213.0.9:6443\ntoken: x\ncluster-init: true\n");
    host.start(Role::Agent);
    assert_ne!(host.exit_code(), 0);
    host.logged("flag provided but not defined: -cluster-init", 1);
}

/// facts 1.7: the first server takes the short form alone.
#[test]
fn the_first_server_refuses_a_token_with_a_hash() {
    let mut host = Host::new("tethys");
    host.configure(&format!("cluster-init: true\ntoken: K10{}::server:pw\n", "a".repeat(64)));
    host.start(Role::Server);
    assert_ne!(host.exit_code(), 0);
    assert!(!host.notified());
}

/// facts 1.7 and 1.12: the token is the key of the datastore.
#[test]
fn another_token_does_not_open_the_datastore() {
    let mut host = server("cluster-init: true\ntoken: first\n");
    host.node_is("tethys", "True");
    host.stop();
    host.configure("cluster-init: true\ntoken: second\n");
    host.start(Role::Server);
    assert_ne!(host.exit_code(), 0);
}

/// observed: `protect-kernel-defaults` without the sysctls: after about 10 s, exit 1; facts 2.
#[test]
fn kernel_defaults_that_differ_end_it_when_protected() {
    let mut host = Host::new("tethys");
    host.must("sysctl -qw vm.overcommit_memory=0 kernel.panic=1 kernel.panic_on_oops=0");
    host.configure("cluster-init: true\nprotect-kernel-defaults: true\n");
    host.start(Role::Server);
    assert_eq!(host.exit_code(), 1);
    host.logged("Failed to start ContainerManager", 1);
    let wrong = "invalid kernel flag: vm/overcommit_memory, expected value: 1, actual value: 0";
    assert!(host.log().contains(wrong), "{}", host.log());
    let wrong = "invalid kernel flag: kernel/panic, expected value: 10, actual value: 1";
    assert!(host.log().contains(wrong), "{}", host.log());

    let right = "vm.overcommit_memory=1 vm.panic_on_oom=0 kernel.panic=10 kernel.panic_on_oops=1";
    host.must(&format!("sysctl -qw {right}"));
    host.start(Role::Server);
    host.ready();
}

/// observed: without `protect-kernel-defaults` the kubelet sets them itself.
#[test]
fn kernel_defaults_are_set_when_not_protected() {
    let host = server("cluster-init: true\n");
    host.node_is("tethys", "True");
    assert_eq!(host.must("sysctl -n kernel.panic vm.overcommit_memory").trim(), "10\n1");
}

/// Kubernetes' component-base: a feature gate is on or off.
#[test]
fn a_malformed_feature_gate_ends_a_server() {
    for part in ["kubelet", "kube-proxy"] {
        let mut host = Host::new("tethys");
        host.configure(&format!("cluster-init: true\n{part}-arg: [\"feature-gates=Sometimes\"]\n"));
        host.start(Role::Server);
        assert_eq!(host.exit_code(), 1);
        host.logged("missing bool value for Sometimes", 1);
    }
}

/// observed: a label `node-role.kubernetes.io/worker` on an agent: exit 1; facts 1.6.
#[test]
fn a_reserved_label_ends_an_agent() {
    let server = server("cluster-init: true\n");
    let more = "node-label: [\"node-role.kubernetes.io/worker=true\"]\n";
    let mut agent = agent(&server, "styx", more);
    agent.start(Role::Agent);
    assert_eq!(agent.exit_code(), 1);
    let text = "unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels: [node-role.kubernetes.io/worker]";
    agent.logged(text, 1);
    assert!(server.node("styx").is_none());
}

/// facts 2: a missing admission or audit file ends the API server, and k3s with it.
#[test]
fn a_file_that_the_api_server_is_to_read_must_be_there() {
    let mut host = Host::new("tethys");
    let missing = "/etc/rancher/k3s/gone.yaml";
    for (key, text) in [
        ("admission-control-config-file", "unable to read admission control configuration from"),
        ("audit-policy-file", "loading audit policy file: failed to read file path"),
    ] {
        host.configure(&format!("cluster-init: true\nkube-apiserver-arg: [\"{key}={missing}\"]\n"));
        host.start(Role::Server);
        assert_ne!(host.exit_code(), 0);
        assert!(host.log().contains(text), "{}", host.log());
        let open = format!("open {missing}: no such file or directory");
        assert!(host.log().contains(&open), "{}", host.log());
    }
}

/// k3s-io/k3s#10755: without the memory controller it ends at once.
#[test]
fn a_host_without_the_memory_controller_is_refused() {
    let mut host = Host::new("tethys");
    host.must(
        "mount -t tmpfs none /sys/fs/cgroup; echo cpu io pids >/sys/fs/cgroup/cgroup.controllers",
    );
    host.configure("cluster-init: true\n");
    host.start(Role::Server);
    assert_ne!(host.exit_code(), 0);
    host.logged("failed to find memory cgroup (v2)", 1);
}

/// k3s-io/k3s#11166: flannel ends where the kernel has no `WireGuard`, and k3s with it.
#[test]
fn a_kernel_without_wireguard_ends_flannel() {
    let mut host = Host::new("tethys");
    if host.run("ip link add probe type wireguard").status.success() {
        eprintln!("SKIPPED: this kernel has WireGuard");
        return;
    }
    host.allow_pods();
    host.configure("cluster-init: true\nflannel-backend: wireguard-native\n");
    host.start(Role::Server);
    assert_ne!(host.exit_code(), 0);
    host.logged("could not create wireguard interface: operation not supported", 1);
}

/// A server whose disk is full says so in the words of the system.
#[test]
fn a_full_disk_is_said() {
    let mut host = Host::new("tethys");
    host.must(
        "mkdir -p /var/lib/rancher/k3s; mount -t tmpfs -o size=64k none /var/lib/rancher/k3s",
    );
    host.must("head -c 1000000 /dev/zero >/var/lib/rancher/k3s/rest 2>/dev/null || :");
    host.configure("cluster-init: true\n");
    host.start(Role::Server);
    assert_ne!(host.exit_code(), 0);
    host.logged("no space left on device", 1);
}

/// Kubernetes #134298, and how Go words a certificate that is not valid now: by means of the
/// stand-in alone, as neither the kernel's hierarchy nor its clock is a test's to change.
#[test]
fn cgroup_v1_and_certificates_of_another_time_are_refused() {
    if is_real() {
        eprintln!("SKIPPED: needs another kernel, and another time");
        return;
    }
    let host = server("cluster-init: true\n");
    let mut agent = agent(&host, "styx", "");
    for (ahead, side) in [("-7200", "is before"), ("40000000", "is after")] {
        agent.settings(&[("SIM_CLOCK", ahead)]);
        agent.start(Role::Agent);
        agent.logged("x509: certificate has expired or is not yet valid: current time", 1);
        assert!(agent.log().contains(side), "{}", agent.log());
        assert!(!agent.notified());
    }
    agent.settings(&[]);
    agent.start(Role::Agent);
    agent.ready();
}
