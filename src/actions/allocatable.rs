//! A node that shows as many GPUs as it should have.

use std::time::Duration;

use serde_json::Value;

use super::output;
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::gpu::{NAMESPACE, RESOURCE};
use crate::kube::{self, Identity};
use crate::script::{Script, quote};

/// A node with exactly this many `nvidia.com/gpu` to give to pods.
#[derive(Debug, Clone)]
pub struct Allocatable {
    node: String,
    count: u32,
    limit: Duration,
}

impl Allocatable {
    /// Waits up to `limit` until `node` shows `count`.
    #[must_use]
    pub fn new(node: &str, count: u32, limit: Duration) -> Self {
        Self { node: node.to_owned(), count, limit }
    }

    fn ask(&self) -> String {
        let path = format!("/api/v1/nodes/{}?pretty=false", self.node);
        format!("{} {}", kube::curl(Identity::Admin), kube::url(Identity::Admin, &path))
    }

    fn apply(&self) -> Script {
        let plugin =
            format!("/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/device-plugin?pretty=false");
        let text = format!(
            r#"limit=$(( $(date +%s) + {limit} ))
while :; do
  answer=$({ask} 2>&1) || :
  given=${{answer#*'"allocatable":{{'}}
  now=none
  if [ "$given" != "$answer" ]; then
    given=${{given%%'}}'*}}
    case $given in *'"{RESOURCE}":"'*) now=${{given#*'"{RESOURCE}":"'}}; now=${{now%%'"'*}} ;; esac
  fi
  if [ "$now" = {count} ]; then exit 0; fi
  left=$(( limit - $(date +%s) ))
  if [ "$left" -le 0 ]; then break; fi
  progress "waiting for the GPUs of {node}, $left s left: $now of {count}"
  sleep 0.5
done
k() {{ timeout 20 /usr/local/bin/k3s kubectl -n {NAMESPACE} "$@" 2>&1 || :; }}
{{
  k get pods -o wide --field-selector spec.nodeName={node}
  k logs --tail=5 --selector app.kubernetes.io/name=nvidia-device-plugin
  plugin=$({curl} {plugin} 2>&1) || :
  case $plugin in
    *'"numberReady":0'*) printf 'the device plugin does not run: its image cannot be pulled, or its pod has no GPU\n' ;;
    *'"desiredNumberScheduled":0'*) printf 'the device plugin is for no node: the label nvidia.com/gpu.present is missing\n' ;;
    *) printf 'see on {node}: `nvidia-smi`, `grep nvidia /var/lib/rancher/k3s/agent/etc/containerd/config.toml`\n' ;;
  esac
  printf 'node %s shows %s of %s {RESOURCE} after {limit} s\n' {node} "$now" {count}
}} >&2
exit 1
"#,
            limit = self.limit.as_secs(),
            ask = self.ask(),
            count = self.count,
            node = quote(&self.node),
            curl = kube::curl(Identity::Admin),
            plugin = kube::url(Identity::Admin, &plugin),
        );
        Script::new(text).deadline(self.limit + Duration::from_secs(90))
    }
}

impl Action for Allocatable {
    fn subject(&self) -> String {
        format!("GPUs of node {}", self.node)
    }

    fn probe(&self) -> Vec<Question> {
        vec![Question::Script(format!("{}\n", self.ask()))]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let node: Value = serde_json::from_str(&output(seen, 0)?.stdout).unwrap_or_default();
        let given = node.pointer("/status/allocatable").and_then(|given| given.get(RESOURCE));
        let now = given.and_then(Value::as_str).unwrap_or("none");
        if now == self.count.to_string() {
            return Ok(None);
        }
        let limit = self.limit.as_secs();
        Ok(Some(Change {
            summary: format!("wait up to {limit} s until it shows {} (now: {now})", self.count),
            diff: None,
            apply: self.apply(),
            undo: Undo::Never,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Output};
    use std::time::Duration;

    use super::{Action as _, Allocatable, Answer};

    fn run(shell: &str, answer: &str) -> Output {
        let wait = Allocatable::new("calypso", 2, Duration::from_secs(1));
        let seen = [Answer::Script(crate::remote::Output::default())];
        let change = wait.diff(&seen).expect("it is read").expect("it is not there yet");
        assert_eq!(change.summary, "wait up to 1 s until it shows 2 (now: none)");
        let text = format!(
            "set -eu\nprogress() {{ :; }}\ncurl() {{ printf %s \"$1x$ANSWER\"; }}\n{}",
            change.apply.text()
        );
        Command::new(shell).args(["-c", &text]).env("ANSWER", answer).output().expect("it runs")
    }

    fn node(given: &str) -> String {
        format!(
            r#"{{"status":{{"capacity":{{"nvidia.com/gpu":"2"}},"allocatable":{{{given}"pods":"110"}}}}}}"#
        )
    }

    #[test]
    fn only_what_is_allocatable_counts_and_a_wait_in_vain_says_what_was_seen() {
        for shell in ["dash", "bash"] {
            let there = run(shell, &node(r#""nvidia.com/gpu":"2","#));
            assert!(there.status.success(), "{there:?}");
            let cases = [
                (node(r#""nvidia.com/gpu":"12","#), "12 of 2"),
                (node(""), "none of 2"),
                (String::new(), "none of 2"),
            ];
            for (answer, shown) in cases {
                let vain = run(shell, &answer);
                assert_eq!(vain.status.code(), Some(1), "{vain:?}");
                let said = String::from_utf8_lossy(&vain.stderr).into_owned();
                let last = format!("node calypso shows {shown} nvidia.com/gpu after 1 s");
                assert_eq!(said.lines().last(), Some(last.as_str()), "{said}");
            }
        }
    }
}
