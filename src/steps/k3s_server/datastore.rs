//! Where a server keeps the cluster's state, and how it gets at that of the others.

use serde_json::{Map, Value, json};

use super::super::{Inputs, k3s_config};
use super::is_further;
use crate::actions::{Command, File, Require};
use crate::cluster::Datastore;
use crate::script::{Script, quote};
use crate::secret::{Endpoint, Place};

/// What names the database; k3s reads it after config.yaml.
const DROP_IN: &str = "/etc/rancher/k3s/config.yaml.d/50-oceanid-datastore.yaml";

/// Adds what config.yaml says of the datastore.
pub fn keys(inputs: &Inputs<'_>, keys: &mut Map<String, Value>) {
    let k3s = &inputs.cluster.k3s;
    if is_further(inputs) {
        keys.insert("server".into(), json!(format!("https://{}:6443", k3s.endpoint)));
        keys.insert("token-file".into(), json!(k3s_config::TOKEN));
    } else if k3s.datastore == Datastore::Etcd {
        keys.insert("cluster-init".into(), json!(true));
    }
}

/// The token that a further server joins with, as the first server gives it now.
pub fn server_token(inputs: &Inputs<'_>) -> Option<File> {
    if !is_further(inputs) {
        return None;
    }
    let token = inputs.first_server.and_then(|facts| facts.server_token.clone());
    Some(token.map_or_else(
        || File::later(k3s_config::TOKEN),
        |token| File::secret(k3s_config::TOKEN, token),
    ))
}

/// The database that is not k3s' own: reached from this host, and named in a file of its own.
pub fn external(inputs: &Inputs<'_>) -> Option<(Command, File)> {
    let endpoint = inputs.datastore?;
    let file = File::secret(DROP_IN, endpoint.configuration());
    Some((is_reached(endpoint, &file), file))
}

/// Nothing of an earlier cluster.toml names a database beside what this one says.
pub fn no_other(inputs: &Inputs<'_>) -> Option<Require> {
    inputs.datastore.is_none().then(|| {
        Require::that(
            "no other datastore",
            format!("[ ! -e {} ]\n", quote(DROP_IN)),
            format!(
                "{DROP_IN} names a database, but `k3s.datastore` does not: the cluster's state \
                 does not move by itself\nhint: go back to the database in cluster.toml, or \
                 remove that file and begin anew"
            ),
        )
    })
}

/// One of the places of the database takes a connection; it did when the file was written.
fn is_reached(endpoint: &Endpoint, file: &File) -> Command {
    let places = endpoint.places();
    let words = |place: &Place| format!("{} {}", quote(&place.host), place.port);
    let list: Vec<String> = places.iter().map(ToString::to_string).collect();
    let known = format!(
        "sum=$(sha256sum <{file} 2>/dev/null)\n[ \"${{sum%% *}}\" = {sum} ]\n",
        file = quote(file.path()),
        sum = quote(&file.sha256().unwrap_or_default()),
    );
    // dash cannot open a connection; bash is on every Debian and Ubuntu.
    let check = format!(
        "set -- {words}\nlast=\nwhile [ $# -gt 1 ]; do\n\
         if last=$(timeout 10 /bin/bash -c 'exec 3<>\"/dev/tcp/$1/$2\"' bash \"$1\" \"$2\" 2>&1); then exit 0; fi\n\
         last=${{last##*: }}\nshift 2\ndone\n\
         printf 'the database at %s is not reached from here: %s\\n' {list} \"${{last:-no answer in 10 s}}\" >&2\nexit 1\n",
        words = places.iter().map(words).collect::<Vec<_>>().join(" "),
        list = quote(&list.join(", ")),
    );
    Command::new(
        format!("database at {}", list.join(", ")),
        "connect to it from here, before k3s has to",
        known,
        Script::new(check),
    )
}
