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
