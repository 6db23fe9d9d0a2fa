//! Who is in the cluster, as the API of a server says: asked once, before anything is decided.

use serde_json::{Deserializer, Value};

use crate::kube::{self, Identity, Node};

/// The nodes of the cluster, and the names that have a node's password.
#[derive(Debug, Clone, Default)]
pub struct Roll {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Names whose first user left a password: only who has it may join under the name.
    pub passwords: Vec<String>,
}

impl Roll {
    /// The node of that name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.metadata.name == name)
    }

    /// The version that the node `name` runs.
    #[must_use]
    pub fn version(&self, name: &str) -> Option<&str> {
        self.node(name).map(|node| node.status.node_info.kubelet_version.as_str())
    }

    /// Whether the node `name` calls itself Ready.
    #[must_use]
    pub fn is_ready(&self, name: &str) -> bool {
        self.node(name).is_some_and(|node| node.condition("Ready") == "True")
    }

    /// Reads what [`ask`]'s script printed; `None` when the API did not answer.
    pub(super) fn read(said: &str) -> Option<Self> {
        let mut said = Deserializer::from_str(said).into_iter::<Value>();
        let secrets = said.next()?.ok()?;
        let nodes = kube::nodes(&said.next()?.ok()?.to_string()).ok()?;
        let secrets = secrets.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        let names = secrets.iter().filter_map(|secret| {
            secret.pointer("/metadata/name")?.as_str()?.strip_suffix(".node-password.k3s")
        });
        Some(Self { passwords: names.map(str::to_owned).collect(), nodes })
    }
}

/// What asks: one curl where a server has ever been up, and the slow program itself only when its API is down.
pub(super) fn ask() -> String {
    format!(
        "if [ -e /var/lib/rancher/k3s/server/tls/client-admin.key ]; then\n\
         say list roll\n\
         {} 2>/dev/null || {{ printf 'fact k3s-version '; /usr/local/bin/k3s --version 2>/dev/null || printf '\\n'; }}\n\
         fi\n",
        kube::get_with_passwords(Identity::Admin)
    )
}

/// The version in `k3s version v1.36.3+k3s1 (5a67e8dc)`.
pub(super) fn version(said: &str) -> Option<String> {
    said.split_whitespace()
        .find(|word| word.starts_with('v') && word.contains('.'))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{Roll, version};

    #[test]
    fn names_and_passwords_are_read_and_half_an_answer_is_none() {
        let secrets = r#"{"kind":"PartialObjectMetadataList","items":[
            {"metadata":{"name":"styx.node-password.k3s"}},{"metadata":{"name":"other"}}]}"#;
        let nodes = r#"{"items":[{"metadata":{"name":"tethys"},"status":{"nodeInfo":{"kubeletVersion":"v1.36.3+k3s1","machineID":"abc"}}}]}"#;
        let roll = Roll::read(&format!("{secrets}\n{nodes}\n")).expect("both");
        assert_eq!(roll.passwords, ["styx"]);
        assert_eq!(roll.version("tethys"), Some("v1.36.3+k3s1"));
        assert!(roll.node("styx").is_none() && !roll.is_ready("tethys"));
        assert!(Roll::read(secrets).is_none() && Roll::read("").is_none());
    }

    #[test]
    fn the_program_says_its_version_among_other_words() {
        let said = version("k3s version v1.21.2+k3s1 (5a67e8dc)");
        assert_eq!((said.as_deref(), version("")), (Some("v1.21.2+k3s1"), None));
    }
}
