//! Docker, running with what its settings say: by its own word.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::bail;

use super::{LAST_WORDS, output, unit};
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::script::{Script, quote};

const UNIT: &str = "docker.service";

/// How long Docker may take to start: it takes over every container that runs on.
const LIMIT: u64 = 120;

/// Docker, which runs and has taken what it was told.
///
/// Whether it was restarted since its file changed says less than its own word.
#[derive(Debug, Clone, Default)]
pub struct DockerEngine {
    /// A piece of what `/info` says of each setting, and what is missing without it.
    effects: Vec<(String, &'static str)>,
}

impl DockerEngine {
    /// Requires that what Docker says of itself contains `piece`; otherwise it misses `what`.
    #[must_use]
    pub fn says(mut self, piece: impl Into<String>, what: &'static str) -> Self {
        self.effects.push((piece.into(), what));
        self
    }

    /// `missing` prints one line for each setting that is not in effect.
    fn missing(&self) -> String {
        let mut cases = String::new();
        for (piece, what) in &self.effects {
            let (piece, what) = (quote(piece), quote(what));
            let _ = writeln!(cases, "case $info in *{piece}*) ;; *) printf '%s\\n' {what} ;; esac");
        }
        format!(
            "missing() {{\n\
             info=$(curl -fsS --max-time 10 --unix-socket /run/docker.sock http://docker/info 2>/dev/null) || {{ echo 'it does not answer'; return; }}\n\
             {cases}}}\n"
        )
    }

    fn apply(&self) -> Script {
        let text = format!(
            r#"unit={UNIT}
{LAST_WORDS}{missing}state() {{ systemctl show -p "$1" --value -- "$unit"; }}
within() {{
  limit=$(( $(date +%s) + $1 ))
  until left=$(missing) && [ -z "$left" ]; do
    if [ "$(date +%s)" -ge "$limit" ] || [ "$(state ActiveState)" = failed ]; then return 1; fi
    progress "waiting for $unit, $(( limit - $(date +%s) )) s left: $left"
    sleep 0.3
  done
}}
begun=$(date +%s)
systemctl -q enable -- "$unit"
if systemctl -q is-active -- "$unit"; then
  # What it can take while it runs it takes so: once live-restore holds, containers outlive a restart.
  if systemctl reload -- "$unit" && within 2; then exit 0; fi
fi
systemctl reset-failed -- "$unit" 2>/dev/null || :
systemctl --no-block restart -- "$unit"
sleep 0.3
if ! within {LIMIT}; then
  last_words "$unit" "$begun" >&2
  printf '%s does not run as it was told: %s; it is %s, %s\n' "$unit" "$left" "$(state ActiveState)" "$(state SubState)" >&2
  exit 1
fi
"#,
            missing = self.missing(),
        );
        Script::new(text).deadline(Duration::from_secs(LIMIT + 60))
    }
}

impl Action for DockerEngine {
    fn subject(&self) -> String {
        format!("unit {UNIT}")
    }

    fn probe(&self) -> Vec<Question> {
        let look = format!("{}missing\n", self.missing());
        vec![Question::Unit(UNIT.to_owned()), Question::Script(look)]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let state = unit(seen, 0)?;
        if state.load == "masked" {
            bail!("it is masked: somebody switched it off on purpose (`systemctl unmask {UNIT}`)");
        }
        let missing: Vec<&str> = output(seen, 1)?.stdout.lines().map(str::trim).collect();
        let missing: Vec<&str> = missing.into_iter().filter(|line| !line.is_empty()).collect();
        let runs = state.active == "active";
        if runs && state.enabled == "enabled" && missing.is_empty() {
            return Ok(None);
        }
        let summary = match (runs, missing.as_slice()) {
            (false, _) => String::from("start"),
            (true, []) => String::from("enable"),
            (true, missing) => format!("reload or restart: {}", missing.join(", ")),
        };
        let undo = if runs {
            Undo::Last(Script::new(format!("systemctl --no-block restart -- {UNIT}\n")))
        } else {
            Undo::Run(Script::new(format!(
                "systemctl stop -- docker.socket {UNIT} 2>/dev/null || :\n\
                 systemctl -q disable -- docker.socket {UNIT} 2>/dev/null || :\n"
            )))
        };
        Ok(Some(Change { summary, diff: None, apply: self.apply(), undo }))
    }
}
