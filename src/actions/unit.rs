//! A systemd unit that runs with what its files say now.

use std::time::Duration;

use anyhow::bail;

use super::adopt::Verdict;
use super::{Adopt, Fetch, File, LAST_WORDS, file, output, unit};
use crate::action::{Action, Answer, Change, Question, Undo, UnitState};
use crate::script::{Script, quote};
use crate::secret;

/// How many failed starts prove that a unit does not start.
const NEW: u32 = 3;
/// The same of a unit that was running: the sooner it has what it had, the better.
const IN_USE: u32 = 2;

/// A systemd unit that is enabled, active, and was started with the present content of its inputs.
#[derive(Debug, Clone)]
pub struct Unit {
    name: String,
    files: Vec<File>,
    programs: Vec<Fetch>,
    limit: Duration,
    /// What is given up at once when the unit has said it so often.
    hopeless: Option<(&'static str, u32)>,
    adopt: Option<Adopt>,
    /// Why a unit that runs is restarted, and the read-only script that fails while that is so.
    signs: Vec<(String, String)>,
}

impl Unit {
    /// Requires `name` to be enabled and active.
    pub fn running(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            files: Vec::new(),
            programs: Vec::new(),
            limit: Duration::from_secs(60),
            hopeless: None,
            adopt: None,
            signs: Vec::new(),
        }
    }

    /// Restarts the unit when `file` changed since it was started.
    #[must_use]
    pub fn restarts_with(mut self, file: &File) -> Self {
        self.files.push(file.clone());
        self
    }

    /// Restarts the unit when `program` changed since it was started.
    #[must_use]
    pub fn restarts_with_program(mut self, program: &Fetch) -> Self {
        self.programs.push(program.clone());
        self
    }

    /// Restarts the unit, for `reason`, while the read-only script `test` fails.
    #[must_use]
    pub fn restarts_unless(mut self, reason: impl Into<String>, test: impl Into<String>) -> Self {
        self.signs.push((reason.into(), test.into()));
        self
    }

    /// Takes the unit over without a restart when somebody else started it with the same settings.
    #[must_use]
    pub fn adopts(mut self, adopt: &Adopt) -> Self {
        self.adopt = Some(adopt.clone());
        self
    }

    /// Sets how long the unit may take to become active.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Gives up waiting once the unit has said `text` that many `times`.
    #[must_use]
    pub fn hopeless_at(mut self, text: &'static str, times: u32) -> Self {
        self.hopeless = Some((text, times));
        self
    }

    fn stamp_path(&self) -> String {
        format!("/var/lib/oceanid/units/{}", self.name)
    }

    /// What the unit was last started with: each input's path on a line of its own, then a digest.
    fn stamp(&self) -> Option<String> {
        let mut text = String::new();
        let mut sums = String::new();
        for file in &self.files {
            text.push_str(file.path());
            text.push('\n');
            sums.push_str(&file.sha256()?);
        }
        for program in &self.programs {
            text.push_str(program.path());
            text.push('\n');
            sums.push_str(program.sha256());
        }
        Some(format!("{text}{}\n", secret::sha256(sums.as_bytes())))
    }

    fn reasons(&self, seen: &[Answer]) -> anyhow::Result<Vec<String>> {
        let state = unit(seen, 0)?;
        let mut reasons = Vec::new();
        if state.enabled != "enabled" && state.enabled != "static" {
            reasons.push(String::from("enable"));
        }
        if state.active != "active" {
            reasons.push(format!("start (now {})", described(state)));
            return Ok(reasons);
        }
        for (index, input) in self.files.iter().enumerate() {
            if !input.has_content(file(seen, index + 2)?) {
                reasons.push(format!("restart: {} changes", input.path()));
            }
        }
        for (index, program) in self.programs.iter().enumerate() {
            if !program.is(seen, index + 2 + self.files.len())? {
                reasons.push(format!("restart: {} changes", program.path()));
            }
        }
        let first = 2 + self.files.len() + self.programs.len() + usize::from(self.adopt.is_some());
        for (index, (reason, _)) in (first..).zip(&self.signs) {
            if output(seen, index)?.status != 0 {
                reasons.push(format!("restart: {reason}"));
            }
        }
        let started_with = file(seen, 1)?;
        let stamp = self.stamp().map(|stamp| secret::sha256(stamp.as_bytes()));
        let inputs = !self.files.is_empty() || !self.programs.is_empty();
        if reasons.is_empty() && inputs && stamp.is_some_and(|stamp| stamp != started_with.sha256) {
            reasons.push(String::from("restart: its files changed since it was started"));
        }
        if state.stale && reasons.is_empty() {
            reasons.push(String::from("restart: its unit file changed since systemd read it"));
        }
        Ok(reasons)
    }

    /// What stands before the start. systemd is not asked for what it has: on Debian `enable` runs Perl.
    fn announce(&self, state: &UnitState) -> &'static str {
        let of_ours = self.files.iter().any(|file| file.path().starts_with("/etc/systemd/system/"));
        let known = state.load == "loaded" && !state.stale && !of_ours;
        if known && state.enabled == "enabled" {
            return "";
        }
        "systemctl daemon-reload\nsystemctl -q enable -- \"$unit\"\n"
    }

    fn apply(&self, state: &UnitState) -> Script {
        let stamp = self.stamp().unwrap_or_default();
        // How many failed starts prove that it does not start.
        let restarts = if state.active == "active" { IN_USE } else { NEW };
        let text = format!(
            r#"unit={unit}
state() {{ systemctl show -p "$1" --value -- "$unit"; }}
restarts() {{ number=$(state NRestarts); printf %s "${{number:-0}}"; }}
active() {{ case $(state Job) in '' | 0) [ "$(state ActiveState)" = active ] ;; *) return 1 ;; esac; }}
# What does not tell when it is up may be active for a moment before it dies.
is_up() {{
  active || return 1
  [ "$(state Type)" = notify ] && return
  times=$(restarts)
  sleep 0.2
  active && [ "$(restarts)" = "$times" ]
}}
{LAST_WORDS}give_up() {{
  how="$(state ActiveState), $(state SubState), exit status $(state ExecMainStatus), restarted $(restarts) times"
  last_words "$unit" "$begun" >&2
  printf '%s %s: %s\n' "$unit" "$1" "$how" >&2
  exit 1
}}
begun=$(date +%s)
{announce}systemctl reset-failed -- "$unit" 2>/dev/null || :
systemctl --no-block restart -- "$unit"
limit=$((begun + {limit})) pause=0.05
while ! is_up; do
  now=$(state ActiveState)
  if [ "$now" = failed ] || [ "$(restarts)" -ge {restarts} ]; then
    give_up 'does not start'
  fi
{hopeless}  if [ "$(date +%s)" -ge "$limit" ]; then
    give_up 'is not active after {limit} s'
  fi
  # Most are up in a moment, and the journal is slow to ask.
  case $pause in
    0.05) pause=0.1 ;;
    0.1) pause=0.2 ;;
    *) progress "waiting for $unit, $(( limit - $(date +%s) )) s left: $now; $(journalctl -q -u "$unit" -n 1 --no-pager -o cat --since "@$begun")"
       pause=0.3 ;;
  esac
  sleep "$pause"
done
mkdir -p -- /var/lib/oceanid/units
printf %s {stamp} >{path}.new
mv -f -- {path}.new {path}
"#,
            unit = quote(&self.name),
            announce = self.announce(state),
            limit = self.limit.as_secs(),
            hopeless = self.hopeless(),
            stamp = quote(&stamp),
            path = quote(&self.stamp_path()),
        );
        Script::new(text).deadline(self.limit + Duration::from_secs(30))
    }

    fn hopeless(&self) -> String {
        self.hopeless.map_or_else(String::new, |(text, times)| {
            format!(
                "  said=$(journalctl -q -u \"$unit\" --no-pager -o cat --since \"@$begun\" | grep -cF -- {}) || :\n  \
                 if [ \"$said\" -ge {times} ]; then give_up 'does not get anywhere'; fi\n",
                quote(text)
            )
        })
    }

    /// What became of a unit that somebody else laid down.
    fn verdict(&self, seen: &[Answer]) -> anyhow::Result<Verdict> {
        let Some(adopt) = &self.adopt else { return Ok(Verdict::NotForeign) };
        let first = 2 + self.files.len();
        let mut others = match adopt.verdict(output(seen, first + self.programs.len())?)? {
            Verdict::NotForeign => return Ok(Verdict::NotForeign),
            Verdict::Same => Vec::new(),
            Verdict::Other(others) => others,
        };
        for (index, input) in self.files.iter().enumerate() {
            if !adopt.covers(input.path()) && !input.has_content(file(seen, index + 2)?) {
                others.push(format!("{} changes", input.path()));
            }
        }
        for (index, program) in self.programs.iter().enumerate() {
            if !program.is(seen, index + first)? {
                others.push(format!("{} changes", program.path()));
            }
        }
        Ok(if others.is_empty() { Verdict::Same } else { Verdict::Other(others) })
    }

    fn adoption(&self) -> Change {
        let path = quote(&self.stamp_path());
        let text = format!(
            "systemctl daemon-reload\nsystemctl -q enable -- {name}\n\
             mkdir -p -- /var/lib/oceanid/units\nprintf %s {stamp} >{path}.new\nmv -f -- {path}.new {path}\n",
            name = quote(&self.name),
            stamp = quote(&self.stamp().unwrap_or_default()),
        );
        Change {
            summary: String::from(
                "adopt: it runs with these settings already, nothing is restarted",
            ),
            diff: None,
            apply: Script::new(text),
            undo: Undo::Last(Script::new(format!("rm -f -- {path}\nsystemctl daemon-reload\n"))),
        }
    }

    fn undo(&self, seen: &UnitState) -> Undo {
        let (name, stamp) = (quote(&self.name), quote(&self.stamp_path()));
        if seen.active == "active" {
            // What the files' own undo put there is true again; what we wrote is not.
            let stamp_text = self.stamp().unwrap_or_default();
            let ours = quote(stamp_text.trim_end());
            return Undo::Last(Script::new(format!(
                "if [ \"$(cat -- {stamp} 2>/dev/null)\" = {ours} ]; then rm -f -- {stamp}; fi\n\
                 systemctl daemon-reload\nsystemctl reset-failed -- {name} 2>/dev/null || :\n\
                 systemctl --no-block restart -- {name}\n"
            )));
        }
        Undo::Run(Script::new(format!(
            "rm -f -- {stamp}\nsystemctl stop -- {name} 2>/dev/null || :\n\
             systemctl -q disable -- {name} 2>/dev/null || :\n\
             systemctl reset-failed -- {name} 2>/dev/null || :\n"
        )))
    }
}

/// A unit's state as people say it.
fn described(state: &UnitState) -> String {
    match state.load.as_str() {
        "not-found" => String::from("not there"),
        _ => format!("{}, {}", state.active, state.sub),
    }
}

impl Action for Unit {
    fn subject(&self) -> String {
        format!("unit {}", self.name)
    }

    fn probe(&self) -> Vec<Question> {
        let mut questions = vec![
            Question::Unit(self.name.clone()),
            Question::File { path: self.stamp_path(), unless: None },
        ];
        questions.extend(
            self.files
                .iter()
                .map(|file| Question::File { path: file.path().to_owned(), unless: None }),
        );
        questions.extend(self.programs.iter().map(Fetch::question));
        questions.extend(self.adopt.iter().map(Adopt::question));
        questions.extend(self.signs.iter().map(|(_, test)| Question::Script(test.clone())));
        questions
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let state = unit(seen, 0)?;
        if state.load == "masked" {
            bail!(
                "it is masked: somebody switched it off on purpose (`systemctl unmask {}`)",
                self.name
            );
        }
        let reasons = match self.verdict(seen)? {
            Verdict::NotForeign => self.reasons(seen)?,
            Verdict::Same => return Ok(Some(self.adoption())),
            Verdict::Other(others) => {
                vec![format!("take over another installation, restart once: {}", others.join(", "))]
            }
        };
        if reasons.is_empty() {
            return Ok(None);
        }
        Ok(Some(Change {
            summary: reasons.join(", "),
            diff: None,
            apply: self.apply(state),
            undo: self.undo(state),
        }))
    }
}
