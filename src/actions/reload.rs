//! A unit that, where it runs, has read what its file says now.

use super::{File, file, unit};
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::script::{Script, quote};
use crate::secret;

/// A unit that has read the present content of a file; one that does not run is left alone.
#[derive(Debug, Clone)]
pub struct Reload {
    unit: &'static str,
    file: File,
}

impl Reload {
    /// Reloads `unit` when `file` changed since it was last told to.
    #[must_use]
    pub fn where_running(unit: &'static str, file: &File) -> Self {
        Self { unit, file: file.clone() }
    }

    fn stamp_path(&self) -> String {
        format!("/var/lib/oceanid/units/{}.reload", self.unit)
    }

    /// The file's path on a line of its own, by which a change of it removes the stamp.
    fn stamp(&self) -> String {
        format!("{}\n{}\n", self.file.path(), self.file.sha256().unwrap_or_default())
    }
}

impl Action for Reload {
    fn subject(&self) -> String {
        format!("unit {}", self.unit)
    }

    fn probe(&self) -> Vec<Question> {
        vec![
            Question::Unit(self.unit.to_owned()),
            Question::File { path: self.stamp_path(), unless: None },
            Question::File { path: self.file.path().to_owned(), unless: None },
        ]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let read_it = file(seen, 1)?.sha256 == secret::sha256(self.stamp().as_bytes());
        let as_wanted = self.file.has_content(file(seen, 2)?);
        if unit(seen, 0)?.active != "active" || (read_it && as_wanted) {
            return Ok(None);
        }
        let (unit, path) = (quote(self.unit), quote(&self.stamp_path()));
        let apply = format!(
            "systemctl reload -- {unit}\nmkdir -p -- /var/lib/oceanid/units\n\
             printf %s {stamp} >{path}.new\nmv -f -- {path}.new {path}\n",
            stamp = quote(&self.stamp()),
        );
        let undo = format!("rm -f -- {path}\nsystemctl try-reload-or-restart -- {unit}\n");
        Ok(Some(Change {
            summary: format!("reload: {} changes", self.file.path()),
            diff: None,
            apply: Script::new(apply),
            undo: Undo::Last(Script::new(undo)),
        }))
    }
}
