//! Settings that k3s reads before it starts, and without which it does not.

use crate::ground::{Host, Role, is_real, server};

/// A server with `arguments` in its configuration that must end by itself; what it said.
fn ends(arguments: &str) -> String {
    let mut host = Host::new("tethys");
    host.configure(&format!("cluster-init: true\n{arguments}\n"));
    host.start(Role::Server);
    assert_ne!(host.exit_code(), 0, "{}", host.log());
    assert!(!host.notified());
    host.log()
}

const ADMISSION: &str = "/var/lib/rancher/k3s/server/psa.yaml";
const AUDIT: &str = "/var/lib/rancher/k3s/server/audit.yaml";

/// facts 2: a missing psa.yaml or audit.yaml keeps the API server, and k3s with it, from starting.
#[test]
fn a_missing_policy_file_ends_it() {
    for (argument, path) in
        [("admission-control-config-file", ADMISSION), ("audit-policy-file", AUDIT)]
    {
        let said = ends(&format!("kube-apiserver-arg: [\"{argument}={path}\"]"));
        assert!(said.contains(path) && said.contains("no such file or directory"), "{said}");
    }
}

/// facts 2: `EventRateLimit` wants a configuration of its own.
#[test]
fn an_event_rate_limit_without_limits_ends_it() {
    let said =
        ends("kube-apiserver-arg: [\"enable-admission-plugins=NodeRestriction,EventRateLimit\"]");
    assert!(said.contains("EventRateLimit") && said.contains("must not be empty"), "{said}");
}

/// facts 1.6 and 2: files that oceanid lays down, in a folder made before the first start, are taken.
#[test]
fn the_files_of_the_benchmark_are_taken_in_a_folder_that_was_there_before() {
    let mut host = Host::new("tethys");
    for (path, text) in [
        (ADMISSION, include_str!("../../../../../templates/psa.yaml")),
        (AUDIT, include_str!("../../../../../templates/audit.yaml")),
    ] {
        host.must(&format!(
            "mkdir -p -m 700 /var/lib/rancher/k3s/server/logs; chmod 700 /var/lib/rancher/k3s/server; cat >{path} <<'END'\n{text}\nEND"
        ));
    }
    host.configure(&format!(
        "cluster-init: true\nsecrets-encryption: true\nkube-apiserver-arg: [\"admission-control-config-file={ADMISSION}\", \
         \"audit-policy-file={AUDIT}\", \"audit-log-path=/var/lib/rancher/k3s/server/logs/audit.log\"]\n\
         kubelet-arg: [\"eviction-hard=memory.available<100Mi,nodefs.available<5%,imagefs.available<5%\", \
         \"system-reserved=cpu=100m,memory=100Mi\", \"image-gc-high-threshold=75\", \"image-gc-low-threshold=65\"]\n"
    ));
    host.start(Role::Server);
    host.ready();
    host.node_is("tethys", "True");
    assert_eq!(host.must("stat -c %a /var/lib/rancher/k3s/server").trim(), "700");
    host.must("test -e /var/lib/rancher/k3s/server/logs/audit.log");
    host.must("test -e /var/lib/rancher/k3s/server/cred/encryption-config.json");
}

/// The kubelet parses what it is told before it starts.
#[test]
fn malformed_arguments_of_the_kubelet_end_it() {
    for (argument, text) in [
        ("eviction-hard=memory.available", "invalid eviction threshold"),
        ("eviction-hard=memory<1Mi", "unsupported eviction signal memory"),
        ("system-reserved=memory", "must be formatted as"),
        ("kube-reserved=memory=9000Gi", "Expected capacity >= reservation"),
    ] {
        let said = ends(&format!("kubelet-arg: [\"{argument}\"]"));
        // A real one words it by version.
        assert!(is_real() || said.contains(text), "{argument}: {said}");
    }
}

/// facts 1.9: `wireguard-native` needs the kernel's module.
#[test]
fn an_encrypted_network_needs_wireguard() {
    let kernel = "ip link add wg-probe type wireguard 2>/dev/null && ip link del wg-probe";
    if Host::new("tethys").run(kernel).status.success() {
        server("cluster-init: true\nflannel-backend: wireguard-native\n").node_is("tethys", "True");
    } else {
        let said = ends("flannel-backend: wireguard-native");
        assert!(said.contains("flannel") && said.contains("not supported"), "{said}");
    }
}

/// facts 1.9: Kubernetes 1.35 and later refuse cgroups of version 1 unless told otherwise.
#[test]
fn old_cgroups_end_it_unless_it_is_told_otherwise() {
    let mut host = Host::new("tethys");
    host.configure("cluster-init: true\n");
    host.must("rm /etc/rancher/k3s/config.yaml.d/90-lab.yaml");
    host.start(Role::Server);
    if host.run("test -e /sys/fs/cgroup/cgroup.controllers").status.success() {
        host.ready();
    } else {
        assert_ne!(host.exit_code(), 0);
        host.logged("not run on a host using cgroup v1", 1);
    }
}
