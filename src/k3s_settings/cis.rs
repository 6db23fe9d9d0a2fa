//! What the CIS benchmark for Kubernetes asks of k3s beyond its defaults (v2.1, which covers k3s 1.36 and 1.37).

use super::{Arguments, Disk};

/// The folder of a server, closed before k3s first starts.
pub const FOLDER: &str = "/var/lib/rancher/k3s/server";
/// Where the audit log goes.
pub const LOGS: &str = "/var/lib/rancher/k3s/server/logs";
/// What pods may be.
pub const ADMISSION: &str = "/var/lib/rancher/k3s/server/psa.yaml";
/// What the API writes down.
pub const AUDIT: &str = "/var/lib/rancher/k3s/server/audit.yaml";

const CIPHERS: &str = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,\
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,\
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305,TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305";

/// Arguments of the API server; k3s' own list of admission plugins stays, and with it `NodeRestriction`.
#[must_use]
pub fn apiserver(disk: Disk) -> Arguments {
    // Files of so many MB, beside the one that is written.
    let (kept, size) = match disk {
        Disk::Small => (2, 50),
        Disk::Medium => (5, 100),
        Disk::Large => (10, 100),
    };
    let mut arguments = Arguments::default();
    arguments.push("admission-control-config-file", ADMISSION);
    arguments.push("audit-policy-file", AUDIT);
    arguments.push("audit-log-path", format_args!("{LOGS}/audit.log"));
    arguments.push("audit-log-maxage", 30);
    arguments.push("audit-log-maxbackup", kept);
    arguments.push("audit-log-maxsize", size);
    arguments.push("service-account-extend-token-expiration", false);
    arguments
}

/// Arguments of the controller manager.
#[must_use]
pub fn controller_manager() -> Arguments {
    let mut arguments = Arguments::default();
    arguments.push("terminated-pod-gc-threshold", 100);
    arguments
}

/// Arguments of the kubelet.
#[must_use]
pub fn kubelet() -> Arguments {
    let mut arguments = Arguments::default();
    arguments.push("streaming-connection-idle-timeout", "5m");
    arguments.push("tls-cipher-suites", CIPHERS);
    arguments
}
