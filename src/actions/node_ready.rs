//! A node that is Ready by its JSON condition, at the wanted version.

use std::time::Duration;

use super::{LAST_WORDS, output};
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::kube::{self, Identity};
use crate::script::{Script, quote};

/// A node that is Ready, runs the wanted version and takes pods.
#[derive(Debug)]
pub struct NodeReady {
    node: String,
    version: String,
    identity: Identity,
    unit: &'static str,
    limit: Duration,
}

impl NodeReady {
    /// Waits up to `limit` for `node`; `unit` is what a missed deadline is explained with.
    #[must_use]
    pub fn new(
        node: &str,
        version: &str,
        identity: Identity,
        unit: &'static str,
        limit: Duration,
    ) -> Self {
        Self { node: node.to_owned(), version: version.to_owned(), identity, unit, limit }
    }

    fn unready(&self, seen: &crate::remote::Output) -> Option<String> {
        if seen.status != 0 {
            return Some(String::from("the API does not answer yet"));
        }
        match kube::nodes(&seen.stdout) {
            Ok(nodes) => match nodes.iter().find(|node| node.metadata.name == self.node) {
                Some(node) => node.unready(&self.version),
                None => Some(String::from("it is not in the cluster yet")),
            },
            Err(error) => Some(format!("{error:#}")),
        }
    }

    /// Polls by the text of one node's JSON; the look that follows reads it properly.
    fn apply(&self) -> Script {
        let text = format!(
            r#"{LAST_WORDS}node={node} unit={unit} version={version}
limit=$(( $(date +%s) + {limit} ))
while :; do
  answer=$({curl} {url} 2>&1) || :
  case $answer in
    *'"type":"Ready","status":"True"'*) now='Ready, but not yet open for pods' ;;
    *'"type":"Ready"'*) now='joined, but not Ready' ;;
    *'"code":404'*) now='not in the cluster yet' ;;
    *) now="the API does not answer: ${{answer##*
}}" ;;
  esac
  case $now in Ready*) case $answer in
    *'"key":"node.kubernetes.io/not-ready"'*) ;;
    *'"kubeletVersion":"'"$version"'"'*) exit 0 ;;
    *) now="Ready, but not yet at $version" ;;
  esac ;; esac
  left=$(( limit - $(date +%s) ))
  if [ "$left" -le 0 ]; then
    last_words "$unit" 0 >&2
    printf 'node %s after %s s: %s; %s is %s\n' "$node" {limit} "$now" "$unit" "$(systemctl show -p ActiveState --value "$unit")" >&2
    exit 1
  fi
  progress "waiting for node $node, $left s left: $now"
  sleep 0.5
done
"#,
            node = quote(&self.node),
            unit = self.unit,
            version = quote(&self.version),
            limit = self.limit.as_secs(),
            curl = kube::curl(self.identity),
            url = kube::url(self.identity, &format!("/api/v1/nodes/{}?pretty=false", self.node)),
        );
        Script::new(text).deadline(self.limit + Duration::from_secs(30))
    }
}

impl Action for NodeReady {
    fn subject(&self) -> String {
        format!("node {}", self.node)
    }

    fn probe(&self) -> Vec<Question> {
        vec![Question::Script(kube::get(self.identity, &self.node))]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let Some(reason) = self.unready(output(seen, 0)?) else { return Ok(None) };
        Ok(Some(Change {
            summary: format!("wait up to {} s until Ready ({reason})", self.limit.as_secs()),
            diff: None,
            apply: self.apply(),
            undo: Undo::Never,
        }))
    }
}
