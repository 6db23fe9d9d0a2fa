//! Requests to the API, sent by one process on the first server, and what came of each.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::kube::object::{MANAGER, Object};
use crate::kube::{Identity, curl, url};
use crate::script::{Body, Script, quote};

/// How long all requests together may take.
const LIMIT: Duration = Duration::from_secs(180);

/// `send` reads requests from stdin and prints what the API refused, one line a request.
const SEND: &str = r#"send() {
  status=0
  answers=$(curl -sS -K -) || status=$?
  refused=$(printf '%s\n' "$answers" | sed -n \
    -e '/^oceanid 2/{x;s/.*//;x;d;}' -e '/^oceanid 404 delete/{x;s/.*//;x;d;}' \
    -e '/^oceanid /{s/^oceanid [0-9]* //;G;s/\n/: /;s/: {.*"message":"\(\([^"\\]\|\\.\)*\)".*/: \1/;s/\\n/ /g;s/\\"/"/g;p;x;s/.*//;x;d;}' \
    -e '/./h')
  if [ -n "$refused" ]; then printf '%s\n' "$refused" >&2; return 1; fi
  return "$status"
}
"#;

/// What a namespace may hold that others made.
const HELD: [&str; 8] = [
    "/api/v1/namespaces/NAME/pods",
    "/api/v1/namespaces/NAME/services",
    "/api/v1/namespaces/NAME/secrets",
    "/api/v1/namespaces/NAME/persistentvolumeclaims",
    "/apis/apps/v1/namespaces/NAME/deployments",
    "/apis/apps/v1/namespaces/NAME/daemonsets",
    "/apis/apps/v1/namespaces/NAME/statefulsets",
    "/apis/batch/v1/namespaces/NAME/cronjobs",
];

/// Requests, in order, as curl's configuration.
#[derive(Debug, Default)]
pub struct Requests {
    config: String,
}

impl Requests {
    /// Applies `body` to `object`, without force.
    pub fn apply(&mut self, object: &Object, body: &Value) {
        let query = format!("fieldManager={MANAGER}&pretty=false");
        self.add("PATCH", "apply", object, &query, Some(body));
        self.config.push_str("header = \"Content-Type: application/apply-patch+yaml\"\n");
    }

    /// Deletes `object`, if it still has that uid.
    pub fn delete(&mut self, object: &Object, uid: Option<&str>) {
        let body = uid.map(|uid| {
            json!({ "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": { "uid": uid } })
        });
        self.add("DELETE", "delete", object, "pretty=false", body.as_ref());
        self.config.push_str("header = \"Content-Type: application/json\"\n");
    }

    fn add(
        &mut self,
        method: &str,
        verb: &str,
        object: &Object,
        query: &str,
        body: Option<&Value>,
    ) {
        if !self.config.is_empty() {
            self.config.push_str("next\n");
        }
        let folder = "/var/lib/rancher/k3s/server/tls";
        let _ = write!(
            self.config,
            "cacert = {folder}/server-ca.crt\ncert = {folder}/client-admin.crt\n\
             key = {folder}/client-admin.key\nmax-time = 30\nrequest = {method}\n\
             url = \"https://127.0.0.1:6443{}?{query}\"\nwrite-out = \"\\noceanid %{{http_code}} {verb} {object}\\n\"\n",
            object.path(),
        );
        if let Some(body) = body {
            let text = body.to_string().replace('\\', "\\\\").replace('"', "\\\"");
            let _ = writeln!(self.config, "data-binary = \"{text}\"");
        }
    }

    /// The script that sends them; they come on stdin, for there is no room for them among arguments.
    #[must_use]
    pub fn script(self) -> Script {
        Script::new(format!("{SEND}send\n")).stdin(Body::Text(self.config)).deadline(LIMIT)
    }

    /// As [`Self::script`] in one text; then namespaces that hold nothing of others are deleted.
    #[must_use]
    pub fn undo(self, spaces: &[&str]) -> Script {
        let mut text = String::from(SEND);
        if !self.config.is_empty() {
            let _ = write!(text, "send <<'OCEANID'\n{}OCEANID\n", self.config);
        }
        let curl = curl(Identity::Admin);
        for space in spaces {
            let urls: Vec<String> = HELD
                .iter()
                .map(|path| {
                    let path = path.replace("NAME", space);
                    url(Identity::Admin, &format!("{path}?limit=1&pretty=false"))
                })
                .collect();
            let path = format!("/api/v1/namespaces/{space}?pretty=false");
            let _ = write!(
                text,
                "held=$({curl} {urls}) || held='\"items\":[?]'\n\
                 case $(printf '%s\\n' \"$held\" | sed -e 's/\"items\":\\[\\]//') in\n\
                 *'\"items\":['*) printf 'namespace %s stays: it holds what others made\\n' {space} >&2 ;;\n\
                 *) {curl} -o /dev/null -X DELETE {url} ;;\nesac\n",
                urls = urls.join(" "),
                space = quote(space),
                url = url(Identity::Admin, &path),
            );
        }
        Script::new(text).deadline(LIMIT)
    }
}
