//! A daemon that has read a file as it is now, without being stopped.

use super::{File, LAST_WORDS, file, unit};
use crate::action::{Action, Answer, Change, Question, Undo, UnitState};
use crate::script::{Script, quote};

/// A daemon that, where it runs, has read `file` as it is now. It is never enabled, started or stopped.
#[derive(Debug, Clone)]
pub struct Reload {
    unit: &'static str,
    file: File,
}

/// `reread` makes `$unit` read its files, and starts it anew only where that did not let it live.
///
/// Where systemd holds the socket, sshd cannot open it again and dies of a reload. systemd keeps it, and
/// whoever knocks meanwhile, while sshd is started anew; sessions go on.
const REREAD: &str = r#"reread() {
  if systemctl -q is-active -- "$socket"; then systemctl try-restart -- "$unit"; return; fi
  # One that cannot go on with what it read dies within a moment.
  if systemctl reload -- "$unit" && sleep 0.5 && systemctl -q is-active -- "$unit"; then return; fi
  if systemctl -q is-active -- "$unit"; then return 1; fi
  systemctl restart -- "$unit"
}
"#;

/// What takes it back runs with the old files in place, perhaps while the host boots.
const UNDO: &str = r#"state() { systemctl show -p "$1" --value -- "$unit"; }
case $(state ActiveState) in
  active|reloading) reread ;;
  activating|failed) systemctl restart -- "$unit" ;;
  *)
    # It is about to start, or systemd starts it when somebody knocks: then it reads the old files by itself.
    case $(state Job) in ''|0) ;; *) exit 0 ;; esac
    if systemctl -q is-active -- "$socket"; then exit 0; fi
    if systemctl -q is-enabled -- "$unit"; then systemctl restart -- "$unit"; fi ;;
esac
"#;

impl Reload {
    /// Has the service `unit` read `file` again when it changed since that was last done.
    #[must_use]
    pub fn with(unit: &'static str, file: &File) -> Self {
        Self { unit, file: file.clone() }
    }

    fn stamp_path(&self) -> String {
        format!("/var/lib/oceanid/units/{}", self.unit)
    }

    /// What was last read: the path on a line of its own, then the content's hash.
    fn stamp(&self) -> String {
        format!("{}\n{}\n", self.file.path(), self.file.sha256().unwrap_or_default())
    }

    fn names(&self) -> String {
        let name = self.unit.strip_suffix(".service").unwrap_or(self.unit);
        format!("unit={} socket={}\n{REREAD}", quote(self.unit), quote(&format!("{name}.socket")))
    }

    fn apply(&self) -> Script {
        let text = format!(
            "{names}{LAST_WORDS}begun=$(date +%s)\n\
             reread || {{ last_words \"$unit\" \"$begun\" >&2; printf '%s does not read its files\\n' \"$unit\" >&2; exit 1; }}\n\
             mkdir -p -- /var/lib/oceanid/units\nprintf %s {stamp} >{path}.new\nmv -f -- {path}.new {path}\n",
            names = self.names(),
            stamp = quote(&self.stamp()),
            path = quote(&self.stamp_path()),
        );
        Script::new(text)
    }

    fn undo(&self) -> Script {
        Script::new(format!("{}rm -f -- {}\n{UNDO}", self.names(), quote(&self.stamp_path())))
    }
}

/// Whether it has files in its head that may be old.
fn runs(state: &UnitState) -> bool {
    matches!(state.active.as_str(), "active" | "reloading")
}

impl Action for Reload {
    fn subject(&self) -> String {
        format!("unit {}", self.unit)
    }

    fn probe(&self) -> Vec<Question> {
        vec![
            Question::Unit(self.unit.to_owned()),
            Question::File { path: self.stamp_path(), unless: None },
            self.file.question(),
        ]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        if !runs(unit(seen, 0)?) {
            return Ok(None);
        }
        let summary = if !self.file.has_content(file(seen, 2)?) {
            format!("reload: {} changes", self.file.path())
        } else if file(seen, 1)?.sha256 == crate::secret::sha256(self.stamp().as_bytes()) {
            return Ok(None);
        } else {
            String::from("reload: its files changed since it read them")
        };
        Ok(Some(Change { summary, diff: None, apply: self.apply(), undo: Undo::Last(self.undo()) }))
    }
}
