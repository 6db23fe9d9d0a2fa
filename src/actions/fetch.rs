//! A file with exactly this SHA-256, downloaded by the host or sent to it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;

use super::{DISCARD, FORGET_STARTS, KEEP, RECALL_STARTS, RESTORE, curl_way, folder, output};
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::cluster::{Delivery, Sources};
use crate::releases::Wanted;
use crate::script::{Body, Script, quote};
use crate::secret;

/// How long a download may take.
const DEADLINE: Duration = Duration::from_secs(1800);

/// Makes the verified file ready to take its place.
const LAND: &str = r#"chown root:root -- "$new"
chmod "$mode" -- "$new"
sync -- "$new"
"#;

/// `sum_of FILE`: openssl, which comes with `ca-certificates`, is four times as fast as coreutils.
const SUM_OF: &str = r#"sum_of() {
  if command -v openssl >/dev/null; then openssl dgst -sha256 -r <"$1"; else sha256sum <"$1"; fi
}
"#;

/// Takes the file from us, and hashes what is on the disk.
const RECEIVE: &str = r#"if ! cat >"$new"; then
  rm -f -- "$new"
  printf 'cannot write what was sent to %s; nothing was replaced\n' "$folder" >&2
  exit 1
fi
sum=$(sum_of "$new"); sum=${sum%% *}
if [ "$sum" != "$want" ]; then
  printf '%s bytes with sha256 %s arrived\nwanted sha256 %s; nothing was replaced\n' "$(stat -c %s -- "$new")" "$sum" "$want" >&2
  exit 1
fi
"#;

/// A file with exactly this SHA-256, verified on the host before it lands.
#[derive(Debug, Clone)]
pub struct Fetch {
    path: String,
    wanted: Wanted,
    version: String,
    kind: &'static str,
    mode: u32,
    /// The file here that is sent; none where the host downloads.
    sent: Option<PathBuf>,
    /// What curl is told of the way.
    way: String,
}

impl Fetch {
    /// An executable, `root:root` 0755, from `url`; `version` is what plans call it.
    pub fn new(
        path: impl Into<String>,
        url: impl Into<String>,
        sha256: impl Into<String>,
        version: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            wanted: Wanted { url: url.into(), sha256: sha256.into() },
            version: version.into(),
            kind: "program",
            mode: 0o755,
            sent: None,
            way: String::new(),
        }
    }

    /// Makes it a file of another kind, which nobody runs: 0644.
    #[must_use]
    pub fn plain(mut self, kind: &'static str) -> Self {
        (self.kind, self.mode) = (kind, 0o644);
        self
    }

    /// Sets how it comes to the host.
    #[must_use]
    pub fn delivery(self, delivery: Delivery) -> Self {
        let cached = self.wanted.cached();
        match delivery {
            Delivery::Host => Self { sent: None, ..self },
            Delivery::Push => self.sent_from(cached),
        }
    }

    /// Has it sent from the file `path` of this machine.
    #[must_use]
    pub fn sent_from(mut self, path: impl Into<PathBuf>) -> Self {
        self.sent = Some(path.into());
        self
    }

    /// Has the host take the way that `sources` says.
    #[must_use]
    pub fn through(mut self, sources: &Sources) -> Self {
        self.way = curl_way(sources);
        self
    }

    /// The absolute path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// SHA-256 of the wanted file, hex.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.wanted.sha256
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
        Ok(sum.split_whitespace().next() == Some(self.wanted.sha256.as_str()))
    }

    fn apply(&self) -> Script {
        let (get, body) = match &self.sent {
            None => (self.download(), Body::Empty),
            Some(path) => (RECEIVE.to_owned(), Body::File(path.clone())),
        };
        let text = format!(
            r#"path={path} folder={folder} want={want} stamp={stamp} mode={mode:04o}
{KEEP}{SUM_OF}new=$path.oceanid-new
{DISCARD}{get}{LAND}{FORGET_STARTS}mv -f -- "$new" "$path"
mkdir -p -- "${{stamp%/*}}"
printf '%s %s\n' "$(stat -c '%i %s %Y %Z' -- "$path")" "$sum" >"$stamp"
"#,
            path = quote(&self.path),
            folder = quote(folder(&self.path)),
            want = self.wanted.sha256,
            stamp = self.stamp(),
            mode = self.mode,
        );
        Script::new(text).stdin(body).deadline(DEADLINE)
    }

    /// The host downloads it, and says what came instead.
    fn download(&self) -> String {
        format!(
            r#"url={url}
log=$OCEANID_UNDO/curl
curl -fsSL --connect-timeout 20 --speed-limit 1000 --speed-time 20 --retry 2 {way}-o "$new" -- "$url" 2>"$log" &
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
sum=$(sum_of "$new"); sum=${{sum%% *}}
if [ "$sum" != "$want" ]; then
  case $(head -c 200 -- "$new" | tr -d '\000' | tr 'A-Z' 'a-z') in
    *'<html'*|*'<!doctype'*) what='an HTML page (a proxy or a login page?)' ;;
    *) what="$(stat -c %s -- "$new") bytes with sha256 $sum" ;;
  esac
  printf '%s gave %s\nwanted sha256 %s; nothing was replaced\n' "$url" "$what" "$want" >&2
  exit 1
fi
"#,
            url = quote(&self.wanted.url),
            way = self.way,
        )
    }
}

impl Action for Fetch {
    fn subject(&self) -> String {
        format!("{} {}", self.kind, self.path)
    }

    fn probe(&self) -> Vec<Question> {
        vec![self.question()]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let there = output(seen, 0)?.stdout.lines().next().unwrap_or_default();
        if self.is(seen, 0)? && there == format!("regular file|{:o}|root:root", self.mode) {
            return Ok(None);
        }
        if !there.is_empty() && !there.starts_with("regular ") {
            bail!("something that is not a file is in the way: {there}");
        }
        let verb = match (there.is_empty(), &self.sent) {
            (false, _) => "replace by",
            (true, None) => "download",
            (true, Some(_)) => "send",
        };
        Ok(Some(Change {
            summary: format!("{verb} {}", self.version),
            diff: Some(format!("+ {}\n+ sha256 {}\n", self.wanted.url, self.wanted.sha256)),
            apply: self.apply(),
            undo: Undo::Run(Script::new(format!(
                "path={}\n{RESTORE}{RECALL_STARTS}rm -f -- {}\n",
                quote(&self.path),
                self.stamp()
            ))),
        }))
    }
}
