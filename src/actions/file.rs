//! A file with exactly this content, mode and owner.

use anyhow::bail;
use secrecy::SecretString;
use similar::TextDiff;

use super::{DISCARD, FORGET_STARTS, KEEP, RECALL_STARTS, RESTORE, file, folder, secret_keys};
use crate::action::{Action, Answer, Change, FileKind, FileState, Question, Undo};
use crate::script::{Body, Script, quote};
use crate::secret;

/// A file with exactly this content, mode and owner.
#[derive(Debug, Clone)]
pub struct File {
    path: String,
    content: Body,
    mode: u32,
    owner: String,
    check: Option<String>,
    /// What is there now may hold secrets of others.
    replaces_secrets: bool,
}

impl File {
    /// A file that everyone may read, `root:root` 0644.
    pub fn new(path: impl Into<String>, content: impl Into<String>) -> Self {
        Self::of(path.into(), Body::Text(content.into()), 0o644)
    }

    /// A file that only root may read, `root:root` 0600; its content is never shown.
    pub fn secret(path: impl Into<String>, content: SecretString) -> Self {
        Self::of(path.into(), Body::Secret(content), 0o600)
    }

    /// A secret file whose content an earlier wave brings about.
    pub fn later(path: impl Into<String>) -> Self {
        Self::of(path.into(), Body::Later, 0o600)
    }

    fn of(path: String, content: Body, mode: u32) -> Self {
        Self {
            path,
            content,
            mode,
            owner: String::from("root:root"),
            check: None,
            replaces_secrets: false,
        }
    }

    /// Sets the permission bits.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Sets the owner, `user:group`.
    #[must_use]
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = owner.into();
        self
    }

    /// Runs `command CANDIDATE` before the file is replaced; a failure leaves the old file.
    #[must_use]
    pub fn check(mut self, command: impl Into<String>) -> Self {
        self.check = Some(command.into());
        self
    }

    /// Has plans leave out what looks like a secret in the present content.
    #[must_use]
    pub fn replaces_secrets(mut self) -> Self {
        self.replaces_secrets = true;
        self
    }

    /// The wanted content, where it is plain text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Body::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The absolute path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// SHA-256 of the wanted content, hex; `None` while it is not known.
    #[must_use]
    pub fn sha256(&self) -> Option<String> {
        match &self.content {
            Body::Empty => Some(secret::sha256(b"")),
            Body::Text(text) => Some(secret::sha256(text.as_bytes())),
            Body::Secret(content) => Some(secret::sha256_hex(content)),
            Body::File(_) | Body::Later => None,
        }
    }

    /// The question whose answer tells whether the file is as wanted.
    pub(super) fn question(&self) -> Question {
        let unless = match self.content {
            Body::Text(_) => self.sha256(),
            _ => None,
        };
        Question::File { path: self.path.clone(), unless }
    }

    /// Whether `seen` is the wanted file.
    pub(super) fn is(&self, seen: &FileState) -> bool {
        self.has_content(seen) && seen.mode == self.mode && seen.owner == self.owner
    }

    /// Whether `seen` has the wanted content.
    pub(super) fn has_content(&self, seen: &FileState) -> bool {
        seen.kind == FileKind::File && self.sha256().is_some_and(|sum| sum == seen.sha256)
    }

    fn write(&self) -> Script {
        let check =
            self.check.as_ref().map_or(String::new(), |check| format!("{check} \"$new\"\n"));
        let sum = quote(&self.sha256().unwrap_or_default());
        let text = format!(
            "path={path} folder={folder}\n{KEEP}\
             new=$path.oceanid-new\n{DISCARD}cat >\"$new\"\n\
             sum=$(sha256sum <\"$new\")\n\
             [ \"${{sum%% *}}\" = {sum} ] || {{ echo 'the upload broke off; the old file is untouched' >&2; exit 74; }}\n\
             chown {owner} -- \"$new\"\nchmod {mode:04o} -- \"$new\"\n{check}sync -- \"$new\"\n\
             {FORGET_STARTS}mv -f -- \"$new\" \"$path\"\n",
            path = quote(&self.path),
            folder = quote(folder(&self.path)),
            owner = quote(&self.owner),
            mode = self.mode,
        );
        Script::new(text).stdin(self.content.clone())
    }

    fn summary(&self, seen: &FileState) -> String {
        let verb = if seen.kind == FileKind::Absent { "create" } else { "replace" };
        let size = match &self.content {
            Body::Text(text) => format!("{} bytes", text.len()),
            Body::File(_) | Body::Later => String::from("(known after apply)"),
            Body::Empty | Body::Secret(_) => String::from("(secret)"),
        };
        format!("{verb}, {size}, {:04o} {}", self.mode, self.owner)
    }

    fn shown_diff(&self, seen: &FileState) -> Option<String> {
        let Body::Text(wanted) = &self.content else { return None };
        let old = match (seen.kind, &seen.content) {
            (FileKind::Absent, _) => "",
            (_, Some(content)) => content,
            (_, None) => return Some(String::from("(the present content is not text)\n")),
        };
        let hidden = if self.replaces_secrets { secret_keys::hide(old) } else { old.to_owned() };
        let from = if seen.kind == FileKind::Absent { "/dev/null" } else { self.path.as_str() };
        Some(
            TextDiff::from_lines(hidden.as_str(), wanted)
                .unified_diff()
                .header(from, &self.path)
                .to_string(),
        )
    }

    fn set_mode(&self, seen: &FileState) -> Change {
        let path = quote(&self.path);
        let set = |mode: u32, owner: &str| {
            Script::new(format!("chown {} -- {path}\nchmod {mode:04o} -- {path}\n", quote(owner)))
        };
        let (old, new) = (format!("{:04o} {}", seen.mode, seen.owner), self);
        Change {
            summary: format!("{old} -> {:04o} {}", new.mode, new.owner),
            diff: None,
            apply: set(self.mode, &self.owner),
            undo: Undo::Run(set(seen.mode, &seen.owner)),
        }
    }
}

impl Action for File {
    fn subject(&self) -> String {
        format!("file {}", self.path)
    }

    fn probe(&self) -> Vec<Question> {
        vec![self.question()]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let seen = file(seen, 0)?;
        match seen.kind {
            FileKind::Directory => bail!("a directory is in the way"),
            FileKind::Other => bail!("a link or a special file is in the way"),
            FileKind::File if self.is(seen) => return Ok(None),
            FileKind::File if self.has_content(seen) => return Ok(Some(self.set_mode(seen))),
            FileKind::File | FileKind::Absent => {}
        }
        let undo = format!("path={}\n{RESTORE}{RECALL_STARTS}", quote(&self.path));
        Ok(Some(Change {
            summary: self.summary(seen),
            diff: self.shown_diff(seen),
            apply: self.write(),
            undo: Undo::Run(Script::new(undo)),
        }))
    }
}
