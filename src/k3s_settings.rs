//! What k3s is told: typed settings for each role, and cluster.toml's further keys among them.

use anyhow::Context;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::cluster::{Cluster, Datastore, Host};
use crate::facts::Facts;

pub use arguments::Arguments;
pub use reserve::{Disk, Reserve};

mod arguments;
pub mod cis;
mod reserve;

/// What a node of either role is told about itself.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Common {
    node_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_external_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flannel_iface: Option<String>,
    #[serde(skip_serializing_if = "is_off")]
    protect_kernel_defaults: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_runtime: Option<&'static str>,
    #[serde(skip_serializing_if = "Arguments::is_empty")]
    kubelet_arg: Arguments,
}

/// What a server is told besides.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Server {
    #[serde(flatten)]
    common: Common,
    tls_san: Vec<String>,
    cluster_cidr: String,
    service_cidr: String,
    flannel_backend: String,
    #[serde(skip_serializing_if = "is_off")]
    flannel_external_ip: bool,
    write_kubeconfig_mode: &'static str,
    #[serde(skip_serializing_if = "is_off")]
    secrets_encryption: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    disable: Vec<String>,
    #[serde(skip_serializing_if = "Arguments::is_empty")]
    kube_apiserver_arg: Arguments,
    #[serde(skip_serializing_if = "Arguments::is_empty")]
    kube_controller_manager_arg: Arguments,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    snapshots: Option<Snapshots>,
}

/// When embedded etcd is saved, and how often it is kept.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Snapshots {
    etcd_snapshot_schedule_cron: String,
    etcd_snapshot_retention: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_off(switch: &bool) -> bool {
    !switch
}

/// What an agent is told, apart from whom it joins.
///
/// # Errors
/// Never: every setting has a form in config.yaml.
pub fn agent(cluster: &Cluster, host: &Host, facts: &Facts) -> anyhow::Result<Map<String, Value>> {
    keys(&common(cluster, host, facts))
}

/// What a server is told, apart from whom it joins and where its state is kept.
///
/// # Errors
/// Never: every setting has a form in config.yaml.
pub fn server(cluster: &Cluster, host: &Host, facts: &Facts) -> anyhow::Result<Map<String, Value>> {
    let k3s = &cluster.k3s;
    let mut names = vec![k3s.endpoint.clone()];
    names.extend(k3s.tls_san.iter().filter(|name| **name != k3s.endpoint).cloned());
    let wireguard = k3s.wants_wireguard();
    let (apiserver, manager) = if k3s.cis {
        (cis::apiserver(Disk::of(facts)), cis::controller_manager())
    } else {
        (Arguments::default(), Arguments::default())
    };
    let snapshots = (k3s.datastore == Datastore::Etcd).then(|| Snapshots {
        etcd_snapshot_schedule_cron: k3s.snapshot_schedule.clone(),
        etcd_snapshot_retention: k3s.snapshot_retention,
    });
    keys(&Server {
        common: common(cluster, host, facts),
        tls_san: names,
        cluster_cidr: k3s.pod_cidr.to_string(),
        service_cidr: k3s.service_cidr.to_string(),
        flannel_backend: k3s.flannel_backend.clone(),
        // Every server must be told the same, so it is not asked of this host alone.
        flannel_external_ip: wireguard
            && cluster.hosts.iter().any(|host| host.external_ip.is_some()),
        write_kubeconfig_mode: "0600",
        // Only the very first start can switch it on.
        secrets_encryption: k3s.secrets_encryption,
        disable: k3s.disable.clone(),
        kube_apiserver_arg: apiserver,
        kube_controller_manager_arg: manager,
        snapshots,
    })
}

fn common(cluster: &Cluster, host: &Host, facts: &Facts) -> Common {
    let mut kubelet = Arguments::default();
    if cluster.k3s.cis {
        kubelet.extend(cis::kubelet());
    }
    if cluster.k3s.reserve {
        kubelet.extend(Reserve::new(host.role, facts).arguments());
    }
    let gpu = cluster.gpu.as_ref().filter(|_| host.gpu);
    Common {
        node_name: host.name.clone(),
        node_ip: host.node_ip.map(|address| address.to_string()),
        node_external_ip: host.external_ip.map(|address| address.to_string()),
        flannel_iface: host.interface.clone(),
        protect_kernel_defaults: cluster.k3s.cis,
        default_runtime: gpu.is_some_and(|gpu| gpu.default_runtime).then_some("nvidia"),
        kubelet_arg: kubelet,
    }
}

fn keys(settings: &impl Serialize) -> anyhow::Result<Map<String, Value>> {
    Ok(match serde_json::to_value(settings)? {
        Value::Object(keys) => keys,
        other => anyhow::bail!("`{other}` is no set of keys"),
    })
}

/// Adds cluster.toml's further keys: one replaces ours, but a component's arguments only those of the same name.
pub fn add(keys: &mut Map<String, Value>, further: &Map<String, Value>) {
    for (key, value) in further {
        let value = match (keys.get(key), value) {
            (Some(Value::Array(ours)), Value::Array(theirs)) if key.ends_with("-arg") => {
                Value::Array(arguments::merged(ours, theirs))
            }
            _ => value.clone(),
        };
        keys.insert(key.clone(), value);
    }
}

/// config.yaml: every text in quotation marks, because k3s reads YAML 1.1, where many words are no text.
///
/// # Errors
/// When a value has no form in YAML.
pub fn yaml(keys: &Map<String, Value>) -> anyhow::Result<String> {
    let options = serde_saphyr::ser_options! { quote_all: true, compact_list_indent: false };
    let keys: Map<String, Value> =
        keys.iter().map(|(key, value)| (key.clone(), scalars(value))).collect();
    serde_saphyr::to_string_with_options(&keys, options).context("cannot write k3s' config.yaml")
}

/// What is no whole number has more forms than both versions of YAML know: it goes as text.
fn scalars(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => Value::String(number.to_string()),
        Value::Array(list) => Value::Array(list.iter().map(scalars).collect()),
        other => other.clone(),
    }
}
