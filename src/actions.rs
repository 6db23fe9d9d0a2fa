//! The kinds of action; few, so that every step reads alike.

pub use adopt::Adopt;
pub use allocatable::Allocatable;
pub use apt_key::AptKey;
pub use audit_rules::AuditRules;
pub use cdi_spec::CdiSpec;
pub use command::Command;
pub use cuda_pod::CudaPod;
pub use daemon_json::DaemonJson;
pub use docker_engine::DockerEngine;
pub use etcd_member::EtcdMember;
pub use fetch::Fetch;
pub use file::File;
pub use firewall::Firewall;
pub use folder::Folder;
pub use image::Image;
pub use kept_rules::KeptRules;
pub use made::Made;
pub use masked::Masked;
pub use modes::Modes;
pub use node_gone::NodeGone;
pub use node_ready::NodeReady;
pub use node_settings::NodeSettings;
pub use objects::{Objects, Removed};
pub use only_one::OnlyOne;
pub use packages::Packages;
pub use pinned::Pinned;
pub use reject_rules::RejectRules;
pub use reload::Reload;
pub use require::Require;
pub use serving::Serving;
pub use sound::Sound;
pub use sshd_values::{Guest, SshdValues};
pub use sysctls::Sysctls;
pub use token_secret::TokenSecret;
pub use unit::Unit;
pub use wait::Wait;

mod adopt;
mod allocatable;
mod apt_key;
mod audit_rules;
mod cdi_spec;
mod command;
mod cuda_pod;
mod daemon_json;
mod docker_engine;
mod etcd_member;
mod fetch;
mod file;
mod firewall;
mod folder;
mod image;
mod kept_rules;
mod made;
mod masked;
mod modes;
mod node_gone;
mod node_ready;
mod node_settings;
mod objects;
mod only_one;
mod packages;
mod pinned;
mod reject_rules;
mod reload;
mod require;
mod secret_keys;
mod serving;
mod sound;
mod sshd_values;
mod sysctls;
mod token_secret;
mod unit;
mod wait;

use anyhow::bail;

use crate::action::{Answer, FileState, UnitState};
use crate::cluster::Sources;
use crate::remote::Output;
use crate::script::quote;

///
/// Expects `path` and `folder` to be set; undone by [`RESTORE`].
const KEEP: &str = r#"keep=$OCEANID_UNDO
if [ -e "$path" ]; then ln -- "$path" "$keep/file" 2>/dev/null || cp -a -- "$path" "$keep/file"; else : >"$keep/absent"; fi
above=$folder
while [ ! -d "$above" ]; do printf '%s\n' "$above" >>"$keep/folders"; above=${above%/*}; done
( umask 022; mkdir -p -- "$folder" )
"#;

/// `last_words UNIT SINCE` prints at most 18 lines: the newest, and the newest that look like errors.
///
/// The verdict is printed after them: the report shows a script's last lines, and the very last as the cause.
const LAST_WORDS: &str = r#"last_words() {
  journalctl --sync 2>/dev/null || :
  said=$(journalctl -q -u "$1" -n 300 --no-pager -o cat --since "@$2" |
    grep -vE '^modprobe: |Found left-over process|This usually indicates unclean termination') || :
  printf 'the last lines of %s:\n' "$1"
  printf '%s\n' "$said" | tail -n 12
  worst=$(printf '%s\n' "$said" | grep -iE 'fatal|panic|error|incorrect|invalid|fail' | tail -n 4) || :
  if [ -n "$worst" ]; then printf 'what looks like errors:\n%s\n' "$worst"; fi
}
"#;

/// Removes `$new` however the script ends; dash runs EXIT traps at a signal only if told to exit.
const DISCARD: &str = "trap 'rm -f -- \"$new\"' EXIT\ntrap 'exit 143' HUP INT TERM\n";

/// Puts back what [`KEEP`] kept; does nothing when the change never began.
const RESTORE: &str = r#"keep=$OCEANID_UNDO
if [ -e "$keep/file" ]; then cp -a -- "$keep/file" "$path.oceanid-old"; mv -f -- "$path.oceanid-old" "$path"
elif [ -e "$keep/absent" ]; then rm -f -- "$path"; fi
if [ -e "$keep/folders" ]; then while read -r above; do rmdir -- "$above" 2>/dev/null || :; done <"$keep/folders"; fi
"#;

/// Forgets that units were started with what was at `$path`: they are restarted by their own action.
///
/// Expects `$keep`, where [`RECALL_STARTS`] finds it.
const FORGET_STARTS: &str = r#"{ grep -lsxF -- "$path" /var/lib/oceanid/units/* || :; } | while read -r stamp; do
mkdir -p -- "$keep/starts"; mv -f -- "$stamp" "$keep/starts/"; done
"#;

/// With what was at `$path` before, units that were started with it have what they were started with.
const RECALL_STARTS: &str = r#"if [ -d "$keep/starts" ]; then mkdir -p -- /var/lib/oceanid/units; cp -p -- "$keep/starts/"* /var/lib/oceanid/units/
else { grep -lsxF -- "$path" /var/lib/oceanid/units/* || :; } | while read -r stamp; do rm -f -- "$stamp"; done; fi
"#;

fn one(seen: &[Answer], index: usize) -> anyhow::Result<&Answer> {
    seen.get(index).ok_or_else(|| anyhow::anyhow!("the probe left question {index} unanswered"))
}

fn file(seen: &[Answer], index: usize) -> anyhow::Result<&FileState> {
    match one(seen, index)? {
        Answer::File(state) => Ok(state),
        other => bail!("expected a file's state, got {other:?}"),
    }
}

fn unit(seen: &[Answer], index: usize) -> anyhow::Result<&UnitState> {
    match one(seen, index)? {
        Answer::Unit(state) => Ok(state),
        other => bail!("expected a unit's state, got {other:?}"),
    }
}

fn output(seen: &[Answer], index: usize) -> anyhow::Result<&Output> {
    match one(seen, index)? {
        Answer::Script(output) => Ok(output),
        other => bail!("expected a script's output, got {other:?}"),
    }
}

/// What curl is told on a host of the way that `sources` says, with a blank after it.
fn curl_way(sources: &Sources) -> String {
    sources.proxy.as_ref().map_or_else(String::new, |proxy| {
        let around = quote(&sources.no_proxy.join(","));
        format!("--proxy {} --noproxy {around} ", quote(proxy))
    })
}

/// The folder of an absolute path.
fn folder(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((folder, _)) => folder,
    }
}
