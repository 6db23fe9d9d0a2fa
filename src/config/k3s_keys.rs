//! The keys of k3s' config.yaml: the flags of `k3s server` and `k3s agent`, by what they take.

use crate::cluster::Role;

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One text or number.
    Text,
    /// Any number of texts.
    List,
    /// `true` or `false`.
    Switch,
}

/// Keys of one kind, and whose they are; no role is both.
type Row = (Option<Role>, Kind, &'static [&'static str]);

const KEYS: &[Row] = &[
    (
        None,
        Kind::Text,
        &[
            "config",
            "v",
            "vmodule",
            "log",
            "bind-address",
            "data-dir",
            "token",
            "token-file",
            "server",
            "node-name",
            "image-credential-provider-bin-dir",
            "image-credential-provider-config",
            "container-runtime-endpoint",
            "default-runtime",
            "image-service-endpoint",
            "pause-image",
            "snapshotter",
            "private-registry",
            "resolv-conf",
            "flannel-iface",
            "flannel-conf",
            "flannel-cni-conf",
            "vpn-auth",
            "vpn-auth-file",
            "lb-server-port",
        ],
    ),
    (
        None,
        Kind::List,
        &[
            "node-label",
            "node-taint",
            "airgap-extra-registry",
            "node-ip",
            "node-external-ip",
            "node-internal-dns",
            "node-external-dns",
            "kubelet-arg",
            "kube-proxy-arg",
        ],
    ),
    (
        None,
        Kind::Switch,
        &[
            "debug",
            "alsologtostderr",
            "with-node-id",
            "docker",
            "disable-default-registry-endpoint",
            "nonroot-devices",
            "protect-kernel-defaults",
            "enable-pprof",
            "rootless",
            "prefer-bundled-bin",
            "selinux",
        ],
    ),
    (
        Some(Role::Server),
        Kind::Text,
        &[
            "https-listen-port",
            "advertise-address",
            "advertise-port",
            "service-node-port-range",
            "cluster-domain",
            "flannel-backend",
            "egress-selector-mode",
            "servicelb-namespace",
            "write-kubeconfig",
            "write-kubeconfig-mode",
            "write-kubeconfig-group",
            "write-kubeconfig-name",
            "helm-job-image",
            "agent-token",
            "agent-token-file",
            "cluster-reset-restore-path",
            "datastore-endpoint",
            "datastore-cafile",
            "datastore-certfile",
            "datastore-keyfile",
            "etcd-snapshot-name",
            "etcd-snapshot-schedule-cron",
            "etcd-snapshot-reconcile-interval",
            "etcd-snapshot-retention",
            "etcd-snapshot-dir",
            "etcd-s3-endpoint",
            "etcd-s3-endpoint-ca",
            "etcd-s3-access-key",
            "etcd-s3-secret-key",
            "etcd-s3-session-token",
            "etcd-s3-bucket",
            "etcd-s3-bucket-lookup-type",
            "etcd-s3-region",
            "etcd-s3-folder",
            "etcd-s3-proxy",
            "etcd-s3-config-secret",
            "etcd-s3-timeout",
            "etcd-s3-retention",
            "default-local-storage-path",
            "system-default-registry",
            "secrets-encryption-provider",
        ],
    ),
    (
        Some(Role::Server),
        Kind::List,
        &[
            "tls-san",
            "cluster-cidr",
            "service-cidr",
            "cluster-dns",
            "kube-apiserver-arg",
            "etcd-arg",
            "kube-controller-manager-arg",
            "kube-scheduler-arg",
            "kube-cloud-controller-manager-arg",
            "helm-controller-arg",
            "disable",
            "kube-controller-arg",
            "kube-cloud-controller-arg",
        ],
    ),
    (
        Some(Role::Server),
        Kind::Switch,
        &[
            "tls-san-security",
            "flannel-ipv6-masq",
            "flannel-external-ip",
            "cluster-init",
            "cluster-reset",
            "kine-tls",
            "etcd-expose-metrics",
            "etcd-disable-snapshots",
            "etcd-snapshot-compress",
            "etcd-s3",
            "etcd-s3-skip-ssl-verify",
            "etcd-s3-insecure",
            "disable-scheduler",
            "disable-cloud-controller",
            "disable-kube-proxy",
            "disable-network-policy",
            "disable-helm-controller",
            "disable-apiserver",
            "disable-controller-manager",
            "disable-etcd",
            "disable-agent",
            "embedded-registry",
            "supervisor-metrics",
            "secrets-encryption",
        ],
    ),
    (Some(Role::Agent), Kind::Text, &["cluster-secret"]),
    (Some(Role::Agent), Kind::Switch, &["disable-apiserver-lb", "no-flannel"]),
];

/// Whose `name` is and what it takes, where k3s knows it; no role is both.
pub fn find(name: &str) -> Option<(Option<Role>, Kind)> {
    let row = KEYS.iter().find(|(_, _, names)| names.contains(&name));
    row.map(|(role, kind, _)| (*role, *kind))
}

/// Every key that `role` knows.
pub fn of(role: Role) -> impl Iterator<Item = &'static str> {
    let mine = KEYS.iter().filter(move |(whose, ..)| whose.is_none_or(|whose| whose == role));
    mine.flat_map(|(_, _, names)| names.iter().copied())
}
