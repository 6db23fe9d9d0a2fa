//! Rules of the kernel's audit that are in force.

use std::fmt::Write as _;

use super::{File, file, output};
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::script::{Script, quote};

/// Where it is noted that the present rules were loaded.
const STAMP: &str = "/var/lib/oceanid/units/audit-rules";

/// Once its rules are locked, the kernel takes no others, and `augenrules` does not say so.
const LOCKED: &str = "case $(auditctl -s) in *'enabled 2'*)\n\
    if ( loaded ); then note; exit 0; fi\n\
    echo \"the kernel's audit rules are locked until it boots again: reboot, then run the same command again\" >&2\n\
    exit 1 ;;\nesac\n";

/// The rules in a file of `/etc/audit/rules.d`, as the kernel has them.
#[derive(Debug, Clone)]
pub struct AuditRules {
    file: File,
    folders: Vec<(&'static str, u32)>,
}

impl AuditRules {
    /// Loads the rules of `file` unless the kernel has each of them.
    #[must_use]
    pub fn of(file: &File) -> Self {
        Self { file: file.clone(), folders: Vec::new() }
    }

    /// Makes a folder that is watched before anybody else makes it: what is missing cannot be watched.
    #[must_use]
    pub fn folder(mut self, path: &'static str, mode: u32) -> Self {
        self.folders.push((path, mode));
        self
    }

    /// Succeeds when every watched path whose folder is there is among the kernel's rules.
    fn loaded(&self) -> String {
        format!(
            "loaded=$(auditctl -l)\n\
             while read -r flag path rest; do\n\
             if [ \"$flag\" = -w ] && [ -d \"${{path%/*}}\" ]; then\n\
             case \"$loaded\n\" in *\" $path \"*|*\"=$path \"*) ;; *) exit 1 ;; esac\nfi\n\
             done <{}\n",
            quote(self.file.path())
        )
    }

    fn apply(&self) -> Script {
        let mut text = format!(
            "loaded() {{\n{}}}\n\
             note() {{ mkdir -p -- /var/lib/oceanid/units; printf '%s\\n' {} >{STAMP}; }}\n{LOCKED}",
            self.loaded(),
            quote(self.file.path())
        );
        for (path, mode) in &self.folders {
            let path = quote(path);
            let _ = write!(
                text,
                "if [ ! -d {path} ]; then\nabove={path}\n\
                 while [ ! -d \"$above\" ]; do printf '%s\\n' \"$above\" >>\"$OCEANID_UNDO/folders\"; above=${{above%/*}}; done\n\
                 ( umask 022; mkdir -p -- {path} )\nchmod {mode:04o} -- {path}\nfi\n"
            );
        }
        text.push_str(
            "augenrules --load >/dev/null
note
",
        );
        Script::new(text)
    }
}

impl Action for AuditRules {
    fn subject(&self) -> String {
        String::from("audit rules")
    }

    fn probe(&self) -> Vec<Question> {
        vec![
            Question::File { path: STAMP.to_owned(), unless: None },
            Question::File { path: self.file.path().to_owned(), unless: None },
            Question::Script(self.loaded()),
        ]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let noted = !file(seen, 0)?.sha256.is_empty();
        let as_wanted = self.file.has_content(file(seen, 1)?);
        if noted && as_wanted && output(seen, 2)?.status == 0 {
            return Ok(None);
        }
        // By then our file is gone, and with it our rules.
        let undo = format!(
            "rm -f -- {STAMP}\naugenrules --load >/dev/null\n\
             if [ -e \"$OCEANID_UNDO/folders\" ]; then while read -r folder; do \
             rmdir -- \"$folder\" 2>/dev/null || :; done <\"$OCEANID_UNDO/folders\"; fi\n"
        );
        Ok(Some(Change {
            summary: String::from("load"),
            diff: None,
            apply: self.apply(),
            undo: Undo::Last(Script::new(undo)),
        }))
    }
}
