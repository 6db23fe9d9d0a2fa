//! A downloaded file with exactly this SHA-256.

use std::time::Duration;

use anyhow::bail;

use super::{DISCARD, FORGET_STARTS, KEEP, RECALL_STARTS, RESTORE, folder, output};
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::script::{Script, quote};
use crate::secret;

/// How long a download may take.
const DEADLINE: Duration = Duration::from_secs(1800);

/// A program downloaded by the host itself and verified there before it lands.
#[derive(Debug, Clone)]
pub struct Fetch {
    path: String,
    url: String,
    sha256: String,
    version: String,
}

impl Fetch {
    /// An executable, `root:root` 0755, from `url`; `version` is what plans call it.
    pub fn new(
        path: impl Into<String>,
        url: impl Into<String>,
        sha256: impl Into<String>,
        version: impl Into<String>,
    ) -> Self {
        Self { path: path.into(), url: url.into(), sha256: sha256.into(), version: version.into() }
    }

    /// The absolute path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// SHA-256 of the wanted file, hex.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The note of inode, size, times and hash: hashing 70 MB at every look costs more than the login.
    fn stamp(&self) -> String {
        format!("/var/lib/oceanid/sums/{}", secret::sha256(self.path.as_bytes()))
    }

    /// What is there, then its hash: the whole file is read only if it changed since that was noted.
    pub(super) fn question(&self) -> Question {
        Question::Script(format!(
            "path={path} noted=\n[ -e \"$path\" ] || exit 0\n\
             there=$(stat -c '%i %s %Y %Z %F|%a|%U:%G' -- \"$path\")\n\
             now=${{there%\"${{there#* * * * }}\"}}\n\
             printf '%s\\n' \"${{there#\"$now\"}}\"\n[ -f \"$path\" ] || exit 0\n\
             if [ -r {stamp} ]; then read -r noted <{stamp}; fi\n\
             case $noted in \"$now\"*) printf '%s\\n' \"${{noted##* }}\" ;;\n\
             *) sha256sum -- \"$path\" ;; esac\n",
            path = quote(&self.path),
            stamp = self.stamp(),
        ))
    }

    /// Whether the answer to [`Self::question`] has the wanted hash.
    pub(super) fn is(&self, seen: &[Answer], index: usize) -> anyhow::Result<bool> {
        let sum = output(seen, index)?.stdout.lines().nth(1).unwrap_or_default();
        Ok(sum.split_whitespace().next() == Some(self.sha256.as_str()))
    }

    fn apply(&self) -> Script {
        let text = format!(
            r#"path={path} folder={folder} url={url} want={want} stamp={stamp}
{KEEP}new=$path.oceanid-new
log=$OCEANID_UNDO/curl
{DISCARD}curl -fsSL --connect-timeout 20 --speed-limit 1000 --speed-time 20 --retry 2 -o "$new" -- "$url" 2>"$log" &
curl=$!
while kill -0 "$curl" 2>/dev/null; do
  if [ -f "$new" ]; then progress "$(( $(stat -c %s -- "$new") / 1000000 )) MB from $url"; fi
  sleep 0.2
done
status=0; wait "$curl" || status=$?
if [ "$status" -ne 0 ]; then
  # Room for the message itself.
  rm -f -- "$new"
  printf 'cannot download %s; nothing was replaced\n' "$url" >&2
  if [ "$status" -eq 23 ]; then printf 'no space left on the disk of %s\n' "$folder" >&2
  else tail -n 1 -- "$log" >&2; fi
  exit 1
fi
sum=$(sha256sum <"$new"); sum=${{sum%% *}}
if [ "$sum" != "$want" ]; then
  case $(head -c 200 -- "$new" | tr -d '\000' | tr 'A-Z' 'a-z') in
    *'<html'*|*'<!doctype'*) what='an HTML page (a proxy or a login page?)' ;;
    *) what="$(stat -c %s -- "$new") bytes with sha256 $sum" ;;
  esac
  printf '%s gave %s\nwanted sha256 %s; nothing was replaced\n' "$url" "$what" "$want" >&2
  exit 1
fi
chown root:root -- "$new"
chmod 0755 -- "$new"
sync -- "$new"
{FORGET_STARTS}mv -f -- "$new" "$path"
mkdir -p -- "${{stamp%/*}}"
printf '%s %s\n' "$(stat -c '%i %s %Y %Z' -- "$path")" "$sum" >"$stamp"
"#,
            path = quote(&self.path),
            folder = quote(folder(&self.path)),
            url = quote(&self.url),
            want = self.sha256,
            stamp = self.stamp(),
        );
        Script::new(text).deadline(DEADLINE)
    }
}

impl Action for Fetch {
    fn subject(&self) -> String {
        format!("program {}", self.path)
    }

    fn probe(&self) -> Vec<Question> {
        vec![self.question()]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let there = output(seen, 0)?.stdout.lines().next().unwrap_or_default();
        if self.is(seen, 0)? && there == "regular file|755|root:root" {
            return Ok(None);
        }
        if !there.is_empty() && !there.starts_with("regular ") {
            bail!("something that is not a file is in the way: {there}");
        }
        let verb = if there.is_empty() { "download" } else { "replace by" };
        Ok(Some(Change {
            summary: format!("{verb} {}", self.version),
            diff: Some(format!("+ {}\n+ sha256 {}\n", self.url, self.sha256)),
            apply: self.apply(),
            undo: Undo::Run(Script::new(format!(
                "path={}\n{RESTORE}{RECALL_STARTS}rm -f -- {}\n",
                quote(&self.path),
                self.stamp()
            ))),
        }))
    }
}
