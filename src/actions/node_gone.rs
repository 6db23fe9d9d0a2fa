//! A node that another machine left behind under a name that is needed again.

use super::output;
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::kube::{self, Identity};
use crate::script::{Script, quote};

/// No node of that name but the machine's own, and no password of one.
#[derive(Debug)]
pub struct NodeGone {
    node: String,
    why: String,
}

impl NodeGone {
    /// Removes `node` and its password from the cluster; `why` is what plans say.
    #[must_use]
    pub fn new(node: &str, why: &str) -> Self {
        Self { node: node.to_owned(), why: why.to_owned() }
    }

    fn paths(&self) -> [String; 2] {
        [
            format!("/api/v1/nodes/{}", self.node),
            format!("/api/v1/namespaces/kube-system/secrets/{}.node-password.k3s", self.node),
        ]
    }
}

impl Action for NodeGone {
    fn subject(&self) -> String {
        format!("old node {}", self.node)
    }

    fn probe(&self) -> Vec<Question> {
        vec![Question::Script(kube::codes(&self.paths()))]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        if !output(seen, 0)?.stdout.lines().any(|code| code == "200") {
            return Ok(None);
        }
        let deletes: Vec<String> = self
            .paths()
            .iter()
            .map(|path| {
                format!(
                    "answer=$({} -X DELETE {} 2>&1) || case $answer in *'\"code\":404'*) ;; *) printf '%s\\n' \"$answer\" >&2; exit 1 ;; esac\n",
                    kube::curl(Identity::Admin),
                    kube::url(Identity::Admin, path),
                )
            })
            .collect();
        Ok(Some(Change {
            summary: format!("remove: {}", self.why),
            diff: None,
            apply: Script::new(format!(
                "progress {}\n{}",
                quote(&format!("removing the old node {}", self.node)),
                deletes.concat()
            )),
            undo: Undo::Never,
        }))
    }
}
