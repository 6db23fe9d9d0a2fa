//! A folder with exactly this mode, `root:root`.

use anyhow::bail;

use super::file;
use crate::action::{Action, Answer, Change, FileKind, FileState, Question, Undo};
use crate::script::{Script, quote};

/// A folder of root's with exactly this mode; what is in it is nobody's business here.
#[derive(Debug, Clone)]
pub struct Folder {
    path: String,
    mode: u32,
}

impl Folder {
    /// Requires a folder at `path`; folders above it that are missing get the mode 0755.
    pub fn new(path: impl Into<String>, mode: u32) -> Self {
        Self { path: path.into(), mode }
    }

    fn create(&self) -> Change {
        let text = format!(
            "path={path}\nabove=$path\n\
             while [ ! -d \"$above\" ]; do printf '%s\\n' \"$above\" >>\"$OCEANID_UNDO/folders\"; above=${{above%/*}}; done\n\
             ( umask 022; mkdir -p -- \"${{path%/*}}\" )\nmkdir -m {mode:04o} -- \"$path\"\n",
            path = quote(&self.path),
            mode = self.mode,
        );
        // What others put there since then stays.
        let undo = "if [ -e \"$OCEANID_UNDO/folders\" ]; then\n\
                    while read -r folder; do rmdir -- \"$folder\" 2>/dev/null || :; done <\"$OCEANID_UNDO/folders\"\nfi\n";
        Change {
            summary: format!("create, {:04o} root:root", self.mode),
            diff: None,
            apply: Script::new(text),
            undo: Undo::Run(Script::new(undo)),
        }
    }

    fn set_mode(&self, seen: &FileState) -> Change {
        let path = quote(&self.path);
        // Five digits: with four, chmod would leave a folder's setgid bit.
        let set = |mode: u32, owner: &str| {
            Script::new(format!("chown {} -- {path}\nchmod {mode:05o} -- {path}\n", quote(owner)))
        };
        Change {
            summary: format!("{:04o} {} -> {:04o} root:root", seen.mode, seen.owner, self.mode),
            diff: None,
            apply: set(self.mode, "root:root"),
            undo: Undo::Run(set(seen.mode, &seen.owner)),
        }
    }
}

impl Action for Folder {
    fn subject(&self) -> String {
        format!("folder {}", self.path)
    }

    fn probe(&self) -> Vec<Question> {
        vec![Question::File { path: self.path.clone(), unless: None }]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let seen = file(seen, 0)?;
        match seen.kind {
            FileKind::File | FileKind::Other => bail!("something else than a folder is in the way"),
            FileKind::Absent => Ok(Some(self.create())),
            FileKind::Directory if seen.mode == self.mode && seen.owner == "root:root" => Ok(None),
            FileKind::Directory => Ok(Some(self.set_mode(seen))),
        }
    }
}
