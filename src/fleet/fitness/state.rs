//! A cluster that exists is not made another one under its feet.

use super::Fault;
use crate::cluster::{Cluster, Datastore};
use crate::facts::Facts;

/// Its state is where cluster.toml says.
pub fn datastore(cluster: &Cluster, facts: &Facts) -> Option<Fault> {
    let (kept, word) = match (facts.kept.etcd, facts.kept.sqlite) {
        (true, _) => ("embedded etcd", "etcd"),
        (false, true) => ("sqlite", "sqlite"),
        (false, false) => return None,
    };
    let wanted = match &cluster.k3s.datastore {
        Datastore::Etcd if word == "etcd" => return None,
        Datastore::Sqlite if word == "sqlite" => return None,
        Datastore::Etcd => "`datastore = \"etcd\"`, and k3s would move it there for good",
        Datastore::Sqlite => "`datastore = \"sqlite\"`, which k3s would not heed",
        Datastore::External(_) => "an external database, in which k3s would begin a new cluster",
    };
    Some(Fault::new(
        "other-datastore",
        format!("its cluster runs on {kept}; cluster.toml says {wanted}"),
        format!("set `datastore = \"{word}\"` in `[k3s]`"),
    ))
}

/// Its secrets are encrypted or not as they were from the beginning; before the token nothing has begun.
pub fn encryption(cluster: &Cluster, facts: &Facts) -> Option<Fault> {
    let kept = facts.kept;
    let begun = facts.join_token.is_some() && (kept.etcd || kept.sqlite);
    let wanted = cluster.k3s.secrets_encryption;
    if !begun || kept.encrypted == wanted {
        return None;
    }
    let what = if wanted {
        "its cluster began without encryption of secrets, which k3s cannot add later"
    } else {
        "the secrets of its cluster are encrypted, and k3s could not read them without"
    };
    let hint = format!("set `secrets-encryption = {}` in `[k3s]`", kept.encrypted);
    Some(Fault::new("other-encryption", what, hint))
}
