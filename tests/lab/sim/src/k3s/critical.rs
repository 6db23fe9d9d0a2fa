//! The settings that have to be the same on every server.

use super::flags::Options;
use serde_json::{Value, json};

/// A text or a list, and what it is when nobody sets it.
const TEXTS: &[(&str, &str)] = &[
    ("cluster-cidr", "10.42.0.0/16"),
    ("service-cidr", "10.43.0.0/16"),
    ("cluster-dns", ""),
    ("cluster-domain", "cluster.local"),
    ("egress-selector-mode", "agent"),
    ("flannel-backend", "vxlan"),
    ("secrets-encryption-provider", "aescbc"),
];

const SWITCHES: &[&str] = &[
    "disable-cloud-controller",
    "disable-helm-controller",
    "disable-network-policy",
    "embedded-registry",
    "flannel-external-ip",
    "flannel-ipv6-masq",
    "secrets-encryption",
];

/// Returns what this server has of them.
pub fn settings(options: &Options) -> Value {
    let mut found = json!({});
    for (name, default) in TEXTS {
        let given = options.list(name).join(",");
        found[*name] = json!(if given.is_empty() { (*default).to_owned() } else { given });
    }
    for name in SWITCHES {
        found[*name] = json!(options.on(name));
    }
    let balancer = options.list("disable").iter().any(|name| name == "servicelb");
    found["disable=servicelb"] = json!(balancer);
    found
}

/// Returns the names of those that differ.
pub fn differences(own: &Value, theirs: &Value) -> Vec<String> {
    let own = own.as_object().into_iter().flatten();
    own.filter(|(name, value)| theirs[name.as_str()] != **value)
        .map(|(name, value)| format!("--{name}: {value} != {}", theirs[name.as_str()]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k3s::flags::{Role, parse};

    fn of(line: &str) -> Value {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        settings(&parse(Role::Server, &words).expect("all known"))
    }

    #[test]
    fn a_default_that_is_written_out_is_no_difference() {
        let written = of("--cluster-cidr=10.42.0.0/16 --flannel-backend=vxlan");
        assert_eq!(differences(&of(""), &written), Vec::<String>::new());
        let other = differences(&of("--secrets-encryption"), &of("--disable=servicelb"));
        assert_eq!(other.len(), 2, "{other:?}");
    }
}
