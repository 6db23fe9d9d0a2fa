//! A server that votes in etcd, and an etcd that has its majority.

use std::time::Duration;

use super::{LAST_WORDS, output};
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::kube::{self, Identity, Node};
use crate::remote::Output;
use crate::script::{Script, quote};

const MEMBER: &str = "node-role.kubernetes.io/etcd";
const VOTER: &str = "EtcdIsVoter";
const HEALTHY: &str = "[+]etcd ok";

/// A server that votes in etcd, an etcd that is healthy for it, and other members that are Ready.
#[derive(Debug)]
pub struct EtcdMember {
    node: String,
    others: Vec<String>,
    limit: Duration,
}

impl EtcdMember {
    /// Waits up to `limit` for `node`, and for those of `others` that are members.
    pub fn new<'a>(node: &str, others: impl IntoIterator<Item = &'a str>, limit: Duration) -> Self {
        let others = others.into_iter().map(str::to_owned).collect();
        Self { node: node.to_owned(), others, limit }
    }

    /// What is missing; `None` when all is well.
    fn trouble(&self, seen: &Output) -> Option<String> {
        let Some(json) = seen.stdout.lines().find(|line| line.starts_with('{')) else {
            return Some(String::from("the API does not answer yet"));
        };
        if !seen.stdout.lines().any(|line| line == HEALTHY) {
            return Some(String::from("etcd has no majority"));
        }
        let nodes = match kube::nodes(json) {
            Ok(nodes) => nodes,
            Err(error) => return Some(format!("{error:#}")),
        };
        let find = |name: &str| nodes.iter().find(|node| node.metadata.name == name);
        let Some(own) = find(&self.node) else {
            return Some(String::from("it is not in the cluster yet"));
        };
        if !is_member(own) {
            return Some(String::from("it is no member of etcd yet"));
        }
        if own.condition(VOTER) != "True" {
            return Some(String::from("it is a member of etcd that has no vote yet"));
        }
        let others = self.others.iter().filter_map(|name| find(name));
        let mut lame = others
            .filter(|node| is_member(node))
            .filter(|node| [VOTER, "Ready"].into_iter().any(|kind| node.condition(kind) != "True"));
        lame.next().map(|node| format!("the member {} is not well", node.metadata.name))
    }

    /// Polls by the text of each node's JSON; the look that follows reads it properly.
    fn apply(&self) -> Script {
        let text = format!(
            r#"{LAST_WORDS}own={own}
limit=$(( $(date +%s) + {limit} ))
ask() {{ {curl} "https://127.0.0.1:6443$1" 2>&1 || :; }}
look() {{
  case $(ask '/readyz?verbose') in
    *'{HEALTHY}'*) ;;
    *'[-]etcd '*) now='etcd has no majority'; return ;;
    *) now='the API does not answer'; return ;;
  esac
  for node in "$own" {others}; do
    answer=$(ask "/api/v1/nodes/$node?pretty=false")
    case $answer in
      *'"code":404'*) [ "$node" != "$own" ] || now='it is not in the cluster yet' ;;
      *'"{MEMBER}"'*) case $answer in
        *'"type":"{VOTER}","status":"True"'*) ;;
        *) now="$node is a member of etcd that has no vote" ;;
        esac
        case $answer in
        *'"type":"Ready","status":"True"'*) ;;
        *) now="$node is a member of etcd that is not Ready" ;;
        esac ;;
      *) [ "$node" != "$own" ] || now='it is no member of etcd yet' ;;
    esac
  done
}}
while :; do
  now=
  look
  if [ -z "$now" ]; then exit 0; fi
  left=$(( limit - $(date +%s) ))
  if [ "$left" -le 0 ]; then
    last_words k3s.service 0 >&2
    printf 'etcd on %s after %s s: %s; nothing was done to the servers after it\n' "$own" {limit} "$now" >&2
    exit 1
  fi
  progress "waiting for etcd on $own, $left s left: $now"
  sleep 0.5
done
"#,
            own = quote(&self.node),
            others = self.others.iter().map(|name| quote(name)).collect::<Vec<_>>().join(" "),
            limit = self.limit.as_secs(),
            curl = kube::curl(Identity::Admin),
        );
        Script::new(text).deadline(self.limit + Duration::from_secs(30))
    }
}

fn is_member(node: &Node) -> bool {
    node.metadata.labels.get(MEMBER).is_some_and(|value| value == "true")
}

impl Action for EtcdMember {
    fn subject(&self) -> String {
        format!("etcd member {}", self.node)
    }

    fn probe(&self) -> Vec<Question> {
        // One process for both; what it prints says whether it was answered.
        let text = format!(
            "{} -w '\\n' {} {} || :\n",
            kube::curl(Identity::Admin),
            kube::url(Identity::Admin, "/readyz?verbose"),
            kube::url(Identity::Admin, "/api/v1/nodes?pretty=false"),
        );
        vec![Question::Script(text)]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let Some(reason) = self.trouble(output(seen, 0)?) else { return Ok(None) };
        Ok(Some(Change {
            summary: format!(
                "wait up to {} s until it is healthy ({reason})",
                self.limit.as_secs()
            ),
            diff: None,
            apply: self.apply(),
            undo: Undo::Never,
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, voter: &str, ready: &str) -> serde_json::Value {
        json!({ "metadata": { "name": name, "labels": { MEMBER: "true" } },
            "status": { "conditions": [{ "type": VOTER, "status": voter },
                                       { "type": "Ready", "status": ready }] } })
    }

    fn trouble(health: &str, nodes: &[serde_json::Value]) -> Option<String> {
        let stdout = format!("[+]ping ok\n{health}\n{}\n", json!({ "items": nodes }));
        EtcdMember::new("a", ["b", "c"], Duration::from_secs(1))
            .trouble(&Output { stdout, ..Output::default() })
    }

    #[test]
    fn a_member_is_well_only_when_it_votes_and_etcd_has_its_majority() {
        let own = || node("a", "True", "True");
        assert_eq!(trouble(HEALTHY, &[own()]), None);
        assert_eq!(trouble(HEALTHY, &[own(), node("b", "True", "True")]), None);
        let said = |health: &str, nodes: &[serde_json::Value]| trouble(health, nodes).unwrap();
        assert!(said("[-]etcd failed: reason withheld", &[own()]).contains("majority"));
        assert!(said(HEALTHY, &[]).contains("not in the cluster"));
        assert!(said(HEALTHY, &[node("a", "False", "True")]).contains("no vote"));
        assert!(said(HEALTHY, &[own(), node("b", "True", "Unknown")]).contains("member b"));
        assert!(said(HEALTHY, &[own(), node("c", "False", "True")]).contains("member c"));
        let plain = json!({ "metadata": { "name": "a" } });
        assert!(said(HEALTHY, &[plain]).contains("no member"));
        let silent = EtcdMember::new("a", [], Duration::ZERO).trouble(&Output::default());
        assert_eq!(silent.as_deref(), Some("the API does not answer yet"));
    }

    #[test]
    fn others_that_are_no_members_do_not_matter() {
        let agent = json!({ "metadata": { "name": "b" } });
        assert_eq!(trouble(HEALTHY, &[node("a", "True", "True"), agent]), None);
    }
}
