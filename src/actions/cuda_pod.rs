//! A pod that makes a CUDA call on a node, once for each driver and image.

use std::time::Duration;

use serde_json::{Value, json};

use super::output;
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::gpu::{NAMESPACE, RESOURCE};
use crate::kube::{self, Identity};
use crate::script::{Body, Script, quote};

/// The annotation of a node that says with what its GPU was last used.
const PROVED: &str = "oceanid.io/cuda";

/// A node on whose GPU a pod of this image has made a CUDA call, with the present driver.
#[derive(Debug, Clone)]
pub struct CudaPod {
    node: String,
    image: String,
    driver: String,
    limit: Duration,
}

impl CudaPod {
    /// Proves `node` by a pod of `image`, within `limit`, unless that was done with this `driver`.
    #[must_use]
    pub fn new(node: &str, image: String, driver: &str, limit: Duration) -> Self {
        Self { node: node.to_owned(), image, driver: driver.to_owned(), limit }
    }

    fn mark(&self) -> String {
        format!("driver {}, {}", self.driver, self.image)
    }

    fn pod(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": format!("cuda-{}", self.node), "namespace": NAMESPACE,
                "labels": { "app.kubernetes.io/name": "oceanid-cuda" } },
            "spec": {
                "runtimeClassName": "nvidia", "restartPolicy": "Never",
                "automountServiceAccountToken": false,
                "activeDeadlineSeconds": self.limit.as_secs(),
                "nodeSelector": { "kubernetes.io/hostname": self.node },
                "tolerations": [{ "operator": "Exists" }],
                "containers": [{ "name": "cuda", "image": self.image,
                    "resources": { "limits": { RESOURCE: "1" } },
                    "securityContext": { "allowPrivilegeEscalation": false,
                        "capabilities": { "drop": ["ALL"] } } }],
            },
        })
    }

    fn apply(&self) -> Script {
        let url = |path: &str| kube::url(Identity::Admin, path);
        let pods = format!("/api/v1/namespaces/{NAMESPACE}/pods");
        let pod = format!("{pods}/cuda-{}?pretty=false", self.node);
        let mark = json!({ "metadata": { "annotations": { PROVED: self.mark() } } }).to_string();
        let text = format!(
            r#"body=$(cat)
remove() {{
  {curl} -o /dev/null -X DELETE {delete} 2>/dev/null || :
  for tenth in 1 2 3 4 5 6 7 8 9 10; do
    {curl} -o /dev/null {pod} 2>/dev/null || return 0
    sleep 0.5
  done
}}
remove
trap remove EXIT
trap 'exit 143' HUP INT TERM
made=$(printf %s "$body" | {curl} -H 'Content-Type: application/json' --data-binary @- {pods} 2>&1) ||
  {{ printf 'the API refuses the pod: %s\n' "$made" >&2; exit 1; }}
limit=$(( $(date +%s) + {limit} ))
while :; do
  answer=$({curl} {pod} 2>&1) || :
  case $answer in
    *'"phase":"Succeeded"'*) break ;;
    *'"phase":"Failed"'*) now=failed ;;
    *'"reason":"ImagePullBackOff"'*|*'"reason":"ErrImagePull"'*) now='its image cannot be pulled' ;;
    *'"reason":"Unschedulable"'*) now='no GPU is free for it' ;;
    *'"phase":"'*) now=${{answer#*'"phase":"'}}; now=${{now%%'"'*}} ;;
    *) now="the API does not answer: $answer" ;;
  esac
  left=$(( limit - $(date +%s) ))
  if [ "$now" = failed ] || [ "$left" -le 0 ]; then
    {{
      timeout 20 /usr/local/bin/k3s kubectl -n {NAMESPACE} logs --tail=10 cuda-{node} 2>&1 || :
      printf 'no CUDA call on %s: %s\n' {node} "$now"
    }} >&2
    exit 1
  fi
  progress "waiting for a CUDA call on {node}, $left s left: $now"
  sleep 0.5
done
{curl} -o /dev/null -X PATCH -H 'Content-Type: application/merge-patch+json' --data-binary {mark} {url}
"#,
            curl = kube::curl(Identity::Admin),
            pods = url(&format!("{pods}?pretty=false")),
            pod = url(&pod),
            delete = url(&format!("{pod}&gracePeriodSeconds=0")),
            limit = self.limit.as_secs(),
            node = quote(&self.node),
            mark = quote(&mark),
            url = url(&format!("/api/v1/nodes/{}?fieldManager=oceanid", self.node)),
        );
        Script::new(text)
            .stdin(Body::Text(self.pod().to_string()))
            .deadline(self.limit + Duration::from_secs(60))
    }
}

impl Action for CudaPod {
    fn subject(&self) -> String {
        format!("CUDA call on node {}", self.node)
    }

    fn probe(&self) -> Vec<Question> {
        let path = format!("/api/v1/nodes/{}?pretty=false", self.node);
        vec![Question::Script(format!(
            "{} {}\n",
            kube::curl(Identity::Admin),
            kube::url(Identity::Admin, &path)
        ))]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let node: Value = serde_json::from_str(&output(seen, 0)?.stdout).unwrap_or_default();
        let mark = node.pointer("/metadata/annotations").and_then(|all| all.get(PROVED));
        if mark.and_then(Value::as_str) == Some(self.mark().as_str()) {
            return Ok(None);
        }
        Ok(Some(Change {
            summary: format!("run a pod of {}, and remove it", self.image),
            diff: None,
            apply: self.apply(),
            undo: Undo::Never,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::{Command, Output};
    use std::time::Duration;

    use serde_json::json;

    use super::{Action as _, Answer, CudaPod};

    fn pod() -> CudaPod {
        CudaPod::new("calypso", String::from("a@sha256:0"), "580.95.05", Duration::from_secs(1))
    }

    fn seen(mark: &str) -> [Answer; 1] {
        let node = json!({ "metadata": { "annotations": { "oceanid.io/cuda": mark } } });
        [Answer::Script(crate::remote::Output { stdout: node.to_string(), ..Default::default() })]
    }

    /// Runs it against an API whose pods are in `phase`, and says what was asked of that.
    fn run(shell: &str, phase: &str) -> (Output, String) {
        let change = pod().diff(&seen("")).expect("it is read").expect("it was not proved");
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        // A pod is there from the request that makes it to the one that deletes it.
        let text = format!(
            r#"set -eu
progress() {{ :; }}
curl() {{
  case "$*" in
    *'-X DELETE'*) printf 'delete\n' >>"$LOG"; rm -f -- "$LOG.pod" ;;
    *'-X PATCH'*) printf 'mark\n' >>"$LOG" ;;
    *'--data-binary @-'*) cat >"$LOG.pod"; printf 'make\n' >>"$LOG" ;;
    *) [ -e "$LOG.pod" ] || return 22; printf '{{"status":{{"phase":"%s"}}}}' "$PHASE" ;;
  esac
}}
{}"#,
            change.apply.text()
        );
        let mut command = Command::new(shell);
        let command = command.args(["-c", &text]).env("LOG", &log).env("PHASE", phase);
        let output = command.output().expect("it runs");
        (output, fs::read_to_string(&log).unwrap_or_default())
    }

    #[test]
    fn a_pod_that_succeeds_is_marked_and_one_that_does_not_is_not_and_both_are_removed() {
        for shell in ["dash", "bash"] {
            let (output, asked) = run(shell, "Succeeded");
            assert!(output.status.success(), "{output:?}");
            assert_eq!(asked, "delete\nmake\nmark\ndelete\n");
            for (phase, why) in [("Failed", "failed"), ("Pending", "Pending")] {
                let (output, asked) = run(shell, phase);
                assert_eq!(output.status.code(), Some(1), "{output:?}");
                assert_eq!(asked, "delete\nmake\ndelete\n");
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                let last = format!("no CUDA call on calypso: {why}");
                assert_eq!(said.lines().last(), Some(last.as_str()), "{said}");
            }
        }
    }

    #[test]
    fn it_is_proved_once_for_each_driver() {
        let proved = seen("driver 580.95.05, a@sha256:0");
        assert!(pod().diff(&proved).expect("it is read").is_none());
        let before = seen("driver 550.54.14, a@sha256:0");
        assert!(pod().diff(&before).expect("it is read").is_some());
    }
}
