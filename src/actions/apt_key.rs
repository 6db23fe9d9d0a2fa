//! The key of an apt repository, taken only if it has the fingerprint that it should have.

use super::{DISCARD, KEEP, RESTORE, curl_way, folder, output};
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::cluster::Sources;
use crate::script::{Script, quote};

/// `prints FILE` prints the fingerprint of every key in it, but not of the keys below them.
const PRINTS: &str = r#"prints() {
  ( umask 077; mkdir -p -- "$home" )
  gpg --homedir "$home" --no-options --no-autostart --batch --show-keys --with-colons -- "$1" 2>/dev/null |
    sed -n '/^pub:/,/^fpr:/s/^fpr:*\([0-9A-F]*\):.*/\1/p'
}
"#;

/// A file with one key of this fingerprint, and nothing else.
#[derive(Debug, Clone)]
pub struct AptKey {
    path: String,
    url: String,
    fingerprint: String,
    way: String,
}

impl AptKey {
    /// Requires at `path` the key that `url` has, if its fingerprint is `fingerprint`.
    pub fn new(
        path: impl Into<String>,
        url: impl Into<String>,
        fingerprint: impl Into<String>,
    ) -> Self {
        let (path, url, fingerprint) = (path.into(), url.into(), fingerprint.into());
        Self { path, url, fingerprint, way: String::new() }
    }

    /// Has the host take the way that `sources` says.
    #[must_use]
    pub fn through(mut self, sources: &Sources) -> Self {
        self.way = curl_way(sources);
        self
    }

    /// The note of which file was found to have which fingerprint: gpg need not look at it each time.
    fn stamp(&self) -> String {
        format!("/var/lib/oceanid/keys/{}", self.fingerprint)
    }
}

impl Action for AptKey {
    fn subject(&self) -> String {
        format!("key {}", self.path)
    }

    fn probe(&self) -> Vec<Question> {
        vec![Question::Script(format!(
            "[ -f {path} ] && [ -r {stamp} ] || exit 0\nread -r noted <{stamp}\n\
             sum=$(sha256sum -- {path})\nif [ \"$noted\" = \"${{sum%% *}}\" ]; then stat -c '%a %U:%G' -- {path}; fi\n",
            path = quote(&self.path),
            stamp = quote(&self.stamp()),
        ))]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        if output(seen, 0)?.stdout.trim() == "644 root:root" {
            return Ok(None);
        }
        let text = format!(
            r#"path={path} folder={folder} url={url} want={want} stamp={stamp}
home=$OCEANID_UNDO/gpg
{KEEP}{PRINTS}new=$path.oceanid-new
{DISCARD}curl -fsSL --connect-timeout 20 --max-time 60 --max-filesize 100000 --retry 2 {way}-o "$new" -- "$url"
found=$(prints "$new")
if [ "$found" != "$want" ]; then
  if [ -z "$found" ]; then found='no key'; fi
  printf '%s gave %s\nwanted a key with the fingerprint %s; nothing was replaced\n' "$url" "$(printf %s "$found" | tr '\n' ' ')" "$want" >&2
  exit 1
fi
chown root:root -- "$new"
chmod 0644 -- "$new"
sync -- "$new"
mv -f -- "$new" "$path"
sum=$(sha256sum -- "$path")
mkdir -p -- "${{stamp%/*}}"
printf '%s\n' "${{sum%% *}}" >"$stamp"
"#,
            path = quote(&self.path),
            folder = quote(folder(&self.path)),
            url = quote(&self.url),
            want = quote(&self.fingerprint),
            stamp = quote(&self.stamp()),
            way = self.way,
        );
        let undo =
            format!("path={}\n{RESTORE}rm -f -- {}\n", quote(&self.path), quote(&self.stamp()));
        Ok(Some(Change {
            summary: String::from("download, and compare its fingerprint"),
            diff: Some(format!("+ {}\n+ fingerprint {}\n", self.url, self.fingerprint)),
            apply: Script::new(text).deadline(std::time::Duration::from_secs(200)),
            undo: Undo::Run(Script::new(undo)),
        }))
    }
}
