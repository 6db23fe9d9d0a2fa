//! What a cluster that is there keeps, whatever cluster.toml says: its datastore, its encryption.

use anyhow::bail;

use super::adopt::settings;
use super::{File, output};
use crate::action::{Action, Answer, Change, Question};

/// A server that has its state keeps the datastore and the encryption that it began with.
#[derive(Debug)]
pub struct Keeps {
    config: File,
}

impl Keeps {
    /// Compares what is there with what `config` asks for.
    #[must_use]
    pub fn of(config: &File) -> Self {
        Self { config: config.clone() }
    }
}

impl Action for Keeps {
    fn subject(&self) -> String {
        String::from("the cluster's state")
    }

    fn probe(&self) -> Vec<Question> {
        // The token is there once the server has been up: before that nothing is lost.
        let text = "cd /var/lib/rancher/k3s/server 2>/dev/null && [ -e node-token ] || exit 0\n\
            if [ -d db/etcd ]; then printf 'etcd\\n'; elif [ -e db/state.db ]; then printf 'sqlite\\n'; \
            else printf 'external\\n'; fi\n\
            if [ -e cred/encryption-config.json ]; then printf 'encrypted\\n'; fi\n";
        vec![Question::Script(text.to_owned())]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let said = &output(seen, 0)?.stdout;
        let (Some(there), Some(text)) = (said.lines().next(), self.config.text()) else {
            return Ok(None);
        };
        let wanted = settings(text)?;
        let has = |key: &str| wanted.contains_key(key);
        let is_on = |key: &str| wanted.get(key).is_some_and(|values| *values == ["true"]);
        let datastore = if has("datastore-endpoint") {
            "external"
        } else if is_on("cluster-init") || has("server") {
            "etcd"
        } else {
            "sqlite"
        };
        // Without a word of it k3s goes on with the etcd that it has.
        let goes_on = there == datastore || (there, datastore) == ("etcd", "sqlite");
        // An endpoint may be kept where we do not see it.
        if !goes_on && there != "external" {
            bail!(
                "its cluster is kept in {there}, and cluster.toml wants {datastore}: oceanid does not move it \
                 (`k3s.datastore = \"{there}\"` keeps it)"
            );
        }
        let encrypted = said.lines().any(|line| line == "encrypted");
        match (encrypted, is_on("secrets-encryption")) {
            (false, true) => bail!(
                "its secrets are not encrypted, and only the first start of a cluster can switch that on \
                 (`k3s.secrets-encryption = false` keeps it)"
            ),
            (true, false) => bail!(
                "its secrets are encrypted, and without the key they could not be read any more \
                 (`k3s.secrets-encryption = true` keeps it)"
            ),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Answer, File, Keeps};
    use crate::remote::Output;

    fn refusal(there: &str, config: &str) -> String {
        let keeps = Keeps::of(&File::new("/config.yaml", config));
        let seen = Answer::Script(Output { stdout: there.to_owned(), ..Output::default() });
        keeps.diff(&[seen]).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_clusters_state_stays_as_it_began() {
        let etcd = "cluster-init: true\nsecrets-encryption: true\n";
        let sqlite = "secrets-encryption: true\n";
        for (there, config) in [
            ("", etcd),
            ("etcd\nencrypted\n", etcd),
            ("sqlite\nencrypted\n", sqlite),
            ("etcd\nencrypted\n", sqlite),
            ("sqlite\n", "tls-san: x\n"),
        ] {
            assert_eq!(refusal(there, config), "", "{there} {config}");
        }
        assert!(refusal("sqlite\nencrypted\n", etcd).contains("`k3s.datastore = \"sqlite\"`"));
        assert!(refusal("sqlite\n", sqlite).contains("`k3s.secrets-encryption = false`"));
        assert!(refusal("etcd\nencrypted\n", "cluster-init: true\n").contains("= true"));
    }
}
