//! `/etc/docker/daemon.json`: our keys are as they must be, all others stay as they are.

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};

use super::{File, file, secret_keys};
use crate::action::{Action, Answer, Change, FileKind, FileState, Question};

const PATH: &str = "/etc/docker/daemon.json";

/// An engine that knows no CDI would take `features.cdi` for a mistake, or for nothing.
const CHECK: &str = r#"check() {
  version=$(dockerd --version) || return 1
  version=${version#*version }; version=${version%%,*}
  if [ "${version%%.*}" -lt 25 ]; then
    printf 'Docker %s cannot hand over devices by their CDI names: 25 can (`triton.docker = "docker-ce"`)\n' "$version" >&2
    return 1
  fi
  dockerd --validate --config-file "$1" >&2
}
check"#;

/// The settings of the container engine.
#[derive(Debug, Clone)]
pub struct DaemonJson(Map<String, Value>);

impl DaemonJson {
    /// Requires `keys`, and below them theirs.
    #[must_use]
    pub fn with(keys: Map<String, Value>) -> Self {
        Self(keys)
    }

    /// The whole file as it must be; `None` where it is that already.
    fn merged(&self, seen: &FileState) -> anyhow::Result<Option<String>> {
        let mut all = match (seen.kind, &seen.content) {
            (FileKind::Absent, _) => Map::new(),
            (_, None) => bail!("it is no text, or more than 64 KiB"),
            // Docker takes an empty file for one without settings.
            (_, Some(text)) if text.trim().is_empty() => Map::new(),
            (_, Some(text)) => serde_json::from_str(text)
                .context("it is no JSON object, and Docker would not start with it")?,
        };
        let before = all.clone();
        merge(&mut all, &self.0);
        if all == before {
            return Ok(None);
        }
        Ok(Some(format!("{:#}\n", Value::Object(all))))
    }
}

/// Objects are merged key by key; anything else is replaced.
fn merge(into: &mut Map<String, Value>, ours: &Map<String, Value>) {
    for (key, value) in ours {
        match (into.get_mut(key), value) {
            (Some(Value::Object(theirs)), Value::Object(ours)) => merge(theirs, ours),
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

impl Action for DaemonJson {
    fn subject(&self) -> String {
        format!("file {PATH}")
    }

    fn probe(&self) -> Vec<Question> {
        // No content has this hash: it is always shown.
        vec![Question::File { path: PATH.to_owned(), unless: Some(String::from("-")) }]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let state = file(seen, 0)?;
        if matches!(state.kind, FileKind::Directory | FileKind::Other) {
            bail!("something that is no file is in the way");
        }
        let Some(text) = self.merged(state)? else { return Ok(None) };
        let mode = if state.kind == FileKind::Absent { 0o644 } else { state.mode };
        let file = File::new(PATH, text).mode(mode).check(CHECK);
        let change = file.diff(seen)?;
        let hide = |diff: String| secret_keys::hide(&diff);
        Ok(change.map(|change| Change { diff: change.diff.map(hide), ..change }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{DaemonJson, FileKind, FileState, Value};

    fn merged(text: &str) -> Result<Option<Value>, String> {
        let Value::Object(keys) = json!({ "features": { "cdi": true }, "live-restore": true })
        else {
            panic!("an object")
        };
        let state = FileState {
            kind: FileKind::File,
            content: Some(text.to_owned()),
            ..FileState::default()
        };
        let merged = DaemonJson::with(keys).merged(&state).map_err(|error| format!("{error:#}"))?;
        Ok(merged.map(|text| serde_json::from_str(&text).expect("it is JSON")))
    }

    #[test]
    fn foreign_keys_stay_and_ours_are_set() {
        let foreign =
            r#"{"data-root": "/srv/docker", "features": {"buildkit": true, "cdi": false}}"#;
        let expected = json!({
            "data-root": "/srv/docker",
            "features": { "buildkit": true, "cdi": true },
            "live-restore": true,
        });
        assert_eq!(merged(foreign), Ok(Some(expected.clone())));
        assert_eq!(merged(&expected.to_string()), Ok(None), "nothing is left to do");
        let ours = json!({ "features": { "cdi": true }, "live-restore": true });
        assert_eq!(merged("\n"), Ok(Some(ours.clone())));
        assert_eq!(merged(r#"{"features": 1}"#), Ok(Some(ours)));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["{", "[]", "{\"a\": 1,}", "features = 1"] {
            let said = merged(text).expect_err("it is no object");
            assert!(said.starts_with("it is no JSON object"), "{said}");
        }
    }
}
