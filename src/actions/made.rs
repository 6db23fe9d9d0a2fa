//! A secret that the host itself makes, once: nobody else ever sees it.

use anyhow::bail;

use super::{KEEP, RESTORE, file, folder};
use crate::action::{Action, Answer, Change, FileKind, Question, Undo};
use crate::script::{Script, quote};

/// A 0600 file with 256 random bits, or with what `kept` says; never changed once it is there.
#[derive(Debug)]
pub struct Made {
    path: String,
    kept: String,
}

impl Made {
    /// Requires `path`; the script `kept` prints what is to be in it where that exists already.
    pub fn new(path: impl Into<String>, kept: impl Into<String>) -> Self {
        Self { path: path.into(), kept: kept.into() }
    }

    fn apply(&self) -> Script {
        Script::new(format!(
            "path={path} folder={folder}\n{KEEP}\
             secret=$(\n{kept}\n)\n\
             if [ -z \"$secret\" ]; then secret=$(head -c 32 /dev/urandom | sha256sum); secret=${{secret%% *}}; fi\n\
             umask 077\nprintf '%s\\n' \"$secret\" >\"$path.oceanid-new\"\n\
             sync -- \"$path.oceanid-new\"\nmv -f -- \"$path.oceanid-new\" \"$path\"\n",
            path = quote(&self.path),
            folder = quote(folder(&self.path)),
            kept = self.kept,
        ))
    }
}

impl Action for Made {
    fn subject(&self) -> String {
        format!("file {}", self.path)
    }

    fn probe(&self) -> Vec<Question> {
        vec![Question::File { path: self.path.clone(), unless: None }]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let seen = file(seen, 0)?;
        let path = quote(&self.path);
        match seen.kind {
            FileKind::Directory | FileKind::Other => {
                bail!("something that is no file is in the way")
            }
            FileKind::File if (seen.mode, seen.owner.as_str()) == (0o600, "root:root") => Ok(None),
            FileKind::File => Ok(Some(Change {
                summary: format!("{:04o} {} -> 0600 root:root", seen.mode, seen.owner),
                diff: None,
                apply: Script::new(format!("chown root:root -- {path}\nchmod 0600 -- {path}\n")),
                undo: Undo::Run(Script::new(format!(
                    "chown {} -- {path}\nchmod {:04o} -- {path}\n",
                    quote(&seen.owner),
                    seen.mode
                ))),
            })),
            FileKind::Absent => Ok(Some(Change {
                summary: String::from("create, (made on the host), 0600 root:root"),
                diff: None,
                apply: self.apply(),
                undo: Undo::Run(Script::new(format!("path={path}\n{RESTORE}"))),
            })),
        }
    }
}
