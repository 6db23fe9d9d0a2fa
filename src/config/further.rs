//! `[k3s.server]` and `[k3s.agent]`: further keys, compared with what k3s knows.

use serde_json::{Map, Value};

use super::file::Settings;
use super::finding::{Finding, Findings};
use super::k3s_keys::{self, Kind};
use super::mask::looks_secret;
use super::suggest::closest;
use super::written::Written;
use crate::cluster::Role;

/// Settings that oceanid writes itself, and the key to use instead.
const OURS: [(&str, &str); 21] = [
    ("server", "`k3s.endpoint` says where the API is"),
    ("token", "oceanid reads the token from the first server"),
    ("token-file", "oceanid reads the token from the first server"),
    ("agent-token", "oceanid reads the token from the first server"),
    ("agent-token-file", "oceanid reads the token from the first server"),
    ("node-name", "use `node.name`"),
    ("node-ip", "use `node.node-ip`"),
    ("node-external-ip", "use `node.external-ip`"),
    ("flannel-iface", "use `node.interface`"),
    ("node-label", "use `node.labels`"),
    ("node-taint", "use `node.taints`"),
    ("flannel-backend", "use `k3s.flannel-backend`"),
    ("cluster-cidr", "use `cluster.pod-cidr`"),
    ("service-cidr", "use `cluster.service-cidr`"),
    ("tls-san", "use `k3s.tls-san`"),
    ("disable", "use `k3s.disable`"),
    ("config", "oceanid writes config.yaml itself"),
    ("cluster-init", "use `k3s.datastore`"),
    ("secrets-encryption", "use `k3s.secrets-encryption`"),
    ("etcd-snapshot-schedule-cron", "use `k3s.snapshot-schedule`"),
    ("etcd-snapshot-retention", "use `k3s.snapshot-retention`"),
];

/// Settings that would harm, and why.
const HARMFUL: [(&str, &str); 3] = [
    ("cluster-reset", "it is for a restore by hand, not for every start"),
    ("cluster-reset-restore-path", "it is for a restore by hand, not for every start"),
    ("data-dir", "oceanid looks for k3s in /var/lib/rancher/k3s; a mount there moves its data"),
];

/// Settings that hold a secret, and how k3s takes it without one in cluster.toml.
const SECRET: [(&str, &str); 5] = [
    ("datastore-endpoint", "use `k3s.datastore`, with a reference to it"),
    ("vpn-auth", "use `vpn-auth-file` with the path of a file on the host"),
    ("etcd-s3-access-key", "use `etcd-s3-config-secret`"),
    ("etcd-s3-secret-key", "use `etcd-s3-config-secret`"),
    ("etcd-s3-session-token", "use `etcd-s3-config-secret`"),
];

/// What is taken although k3s is not known to have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// Nothing.
    Refused,
    /// Any key.
    Taken,
}

/// Reads the further keys of one role; lists appended with `key+` are one with `key`.
pub fn read(
    role: Role,
    settings: &Settings,
    unknown: Unknown,
    out: &mut Findings,
) -> Map<String, Value> {
    let mut read = Map::new();
    for (key, value) in settings {
        if let Some(finding) = check(role, key, value, unknown, out) {
            out.push(finding);
        }
        let name = key.value().trim_end_matches('+').to_owned();
        match (read.get_mut(&name), value.value()) {
            (Some(Value::Array(list)), Value::Array(more)) => list.extend(more.iter().cloned()),
            _ => drop(read.insert(name, value.value().clone())),
        }
    }
    read
}

/// The section of a role.
fn section(role: Role) -> &'static str {
    match role {
        Role::Server => "k3s.server",
        Role::Agent => "k3s.agent",
    }
}

fn check(
    role: Role,
    key: &Written<String>,
    value: &Written<Value>,
    unknown: Unknown,
    out: &mut Findings,
) -> Option<Finding> {
    let (typed, section) = (key.value().as_str(), section(role));
    // `key+` appends to a list in k3s' own files.
    let name = typed.trim_start_matches('-').trim_end_matches('+').replace('_', "-");
    let error = |title: String| Finding::error(key.span(), title);
    if looks_secret(&name) || SECRET.iter().any(|(secret, _)| *secret == name) {
        out.hide(value.span());
    }
    if let Some((_, instead)) = OURS.iter().find(|(ours, _)| *ours == name) {
        return Some(error(format!("`{name}` in `[{section}]` is set by oceanid")).hint(*instead));
    }
    if let Some((_, why)) = HARMFUL.iter().find(|(harmful, _)| *harmful == name) {
        return Some(error(format!("`{name}` must not stand in `[{section}]`")).hint(*why));
    }
    if let Some(instead) = secret(&name) {
        return Some(error(format!("`{name}` in `[{section}]` holds a secret")).hint(instead));
    }
    if typed.trim_end_matches('+') != name {
        let title = format!("`{typed}` is not how k3s writes a key");
        return Some(error(title).hint(format!("write `{name}`")));
    }
    if !fits(value) {
        let title = format!("`{typed}` is neither a string, number, switch nor a list of them");
        return Some(error(title).hint("k3s knows no tables in config.yaml"));
    }
    match k3s_keys::find(&name) {
        None if unknown == Unknown::Taken => None,
        None => Some(stranger(role, &name, &error)),
        Some((Some(whose), _)) if whose != role => Some(of_the_other(whose, typed, &error)),
        Some((_, kind)) => mismatch(kind, key, value).or_else(|| content(&name, value)),
    }
}

fn fits(value: &Value) -> bool {
    let flat = |value: &Value| !value.is_null() && !value.is_object() && !value.is_array();
    match value {
        Value::Array(list) => list.iter().all(flat),
        other => flat(other),
    }
}

fn stranger(role: Role, name: &str, error: &impl Fn(String) -> Finding) -> Finding {
    let finding = error(format!("`{name}` is no key of a k3s {}", word(role)));
    let finding = match closest(name, k3s_keys::of(role)) {
        Some(meant) => finding.label(format!("did you mean `{meant}`?")),
        None => finding,
    };
    finding.hint("`allow-unknown = true` in `[k3s]` takes keys that oceanid does not know")
}

fn of_the_other(whose: Role, typed: &str, error: &impl Fn(String) -> Finding) -> Finding {
    let title = format!("`{typed}` is for {}s alone: k3s would not start here", word(whose));
    error(title).hint(format!("write it into `[{}]`", section(whose)))
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Server => "server",
        Role::Agent => "agent",
    }
}

/// What is wrong with the value's kind.
fn mismatch(kind: Kind, key: &Written<String>, value: &Written<Value>) -> Option<Finding> {
    let typed = key.value();
    let wrong = |title: String| Finding::error(value.span(), title);
    if typed.ends_with('+') && kind != Kind::List {
        let name = typed.trim_end_matches('+');
        let title = format!("`{typed}`: `+` appends to a list, and `{name}` is none");
        return Some(Finding::error(key.span(), title).hint(format!("write `{name}`")));
    }
    match (kind, value.value()) {
        (Kind::Text, Value::String(_) | Value::Number(_)) | (Kind::Switch, Value::Bool(_)) => None,
        (Kind::List, Value::Array(list)) => {
            let switch = list.iter().any(Value::is_boolean);
            switch.then(|| wrong(format!("`{typed}` is a list of texts, not of switches")))
        }
        (Kind::List, other) => {
            let hint = format!("write `{typed} = [{other}]`");
            Some(wrong(format!("`{typed}` is a list")).hint(hint))
        }
        (Kind::Switch, _) => {
            let hint = "without quotation marks";
            Some(wrong(format!("`{typed}` is a switch: `true` or `false`")).hint(hint))
        }
        (Kind::Text, Value::Bool(_)) => Some(wrong(format!("`{typed}` is a text, not a switch"))),
        (Kind::Text, _) => Some(wrong(format!("`{typed}` is one text, not a list"))),
    }
}

/// Values that k3s takes and that then keep it from starting, or mean something else.
fn content(name: &str, value: &Written<Value>) -> Option<Finding> {
    let wrong = |title: &str, hint: &str| Some(Finding::error(value.span(), title).hint(hint));
    match (name, value.value()) {
        ("write-kubeconfig-mode", Value::Number(_)) => wrong(
            "`write-kubeconfig-mode` is a number, which is not the mode that it looks like",
            "write it as text: `\"0600\"`",
        ),
        ("kube-apiserver-arg", Value::Array(list)) => {
            let plugins = list.iter().filter_map(Value::as_str).find_map(plugins)?;
            if !plugins.contains(&"NodeRestriction") {
                return wrong(
                    "`enable-admission-plugins` replaces k3s' own list, and lacks `NodeRestriction`",
                    "without it a node may change other nodes: add it to the list",
                );
            }
            let own = |entry: &Value| {
                entry.as_str().is_some_and(|text| argument(text).0 == ADMISSION_CONFIGURATION)
            };
            if plugins.contains(&"EventRateLimit") && !list.iter().any(own) {
                return wrong(
                    "`EventRateLimit` without limits of its own keeps the API from starting",
                    "name a file with them: `admission-control-config-file=/…`",
                );
            }
            None
        }
        _ => None,
    }
}

const ADMISSION_CONFIGURATION: &str = "admission-control-config-file";

/// The plugins of an entry `enable-admission-plugins=…`.
fn plugins(entry: &str) -> Option<Vec<&str>> {
    let (name, value) = argument(entry);
    (name == "enable-admission-plugins").then(|| value.split(',').map(str::trim).collect())
}

/// Name and value of a component's argument.
fn argument(entry: &str) -> (&str, &str) {
    let entry = entry.trim_start_matches('-');
    entry.split_once('=').unwrap_or((entry, ""))
}

/// What to do instead of writing a secret here.
fn secret(name: &str) -> Option<&'static str> {
    let known = SECRET.iter().find(|(secret, _)| *secret == name);
    if let Some((_, instead)) = known {
        return Some(instead);
    }
    // Names of a Kubernetes secret and of switches are no secrets.
    let harmless = ["etcd-s3-config-secret", "secrets-encryption", "secrets-encryption-provider"];
    (looks_secret(name) && !harmless.contains(&name))
        .then_some("on the servers, put it into /etc/rancher/k3s/config.yaml.d/, mode 0600")
}
