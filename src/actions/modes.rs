//! Files and folders that others must not read.

use std::fmt::Write as _;

use super::output;
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::script::{Script, quote};

/// Closes a path that an earlier change of the same step, such as a package, may have brought.
const CLOSE: &str = r#"close() {
  [ -e "$2" ] || return 0
  mode=$(stat -L -c %a -- "$2")
  printf '%s %s\n' "$mode" "$2" >>"$OCEANID_UNDO/modes"
  chmod "$(printf %05o "$(( 0$mode & 0$1 ))")" -- "$2"
}
"#;

const OPEN_AGAIN: &str = r#"if [ -e "$OCEANID_UNDO/modes" ]; then
  while read -r mode path; do chmod "$(printf %05o "0$mode")" -- "$path"; done <"$OCEANID_UNDO/modes"
fi
"#;

/// Files and folders whose permission bits must not go beyond a limit; what is missing stays missing.
#[derive(Debug, Clone)]
pub struct Modes(Vec<(String, u32)>);

impl Modes {
    /// Takes every bit from each path that its limit lacks; never gives one.
    #[must_use]
    pub fn at_most(limits: &[(&str, u32)]) -> Self {
        Self(limits.iter().map(|(path, limit)| ((*path).to_owned(), *limit)).collect())
    }
}

impl Action for Modes {
    fn subject(&self) -> String {
        String::from("modes of files")
    }

    fn probe(&self) -> Vec<Question> {
        let paths: Vec<String> = self.0.iter().map(|(path, _)| quote(path)).collect();
        let paths = paths.join(" ");
        vec![Question::Script(format!("stat -L -c '%a %n' -- {paths} 2>/dev/null || :"))]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let (mut shown, mut apply, mut undo) = (String::new(), String::new(), String::new());
        let mut count = 0;
        let seen: Vec<(&str, &str)> =
            output(seen, 0)?.stdout.lines().filter_map(|line| line.split_once(' ')).collect();
        for (mode, path) in &seen {
            let Some((_, limit)) = self.0.iter().find(|(known, _)| known == path) else { continue };
            let mode = u32::from_str_radix(mode, 8)?;
            let wanted = mode & limit;
            if wanted == mode {
                continue;
            }
            count += 1;
            let _ = writeln!(shown, "- {path} {mode:04o}\n+ {path} {wanted:04o}");
            // Five digits: with four, chmod would leave a folder's setgid bit.
            let _ = writeln!(apply, "chmod {wanted:05o} -- {}", quote(path));
            let _ = writeln!(undo, "chmod {mode:05o} -- {}", quote(path));
        }
        let missing: Vec<String> = self
            .0
            .iter()
            .filter(|(path, _)| seen.iter().all(|(_, known)| known != path))
            .map(|(path, limit)| format!("close {limit:o} {}\n", quote(path)))
            .collect();
        if !missing.is_empty() {
            apply = format!("{apply}{CLOSE}{}", missing.concat());
            undo.push_str(OPEN_AGAIN);
        }
        Ok((count > 0).then(|| Change {
            summary: format!("close {count} of {} to others", self.0.len()),
            diff: Some(shown),
            apply: Script::new(apply),
            undo: Undo::Run(Script::new(undo)),
        }))
    }
}
