//! Debian packages that must be installed, at whatever version the host's sources give.

use std::time::Duration;

use anyhow::bail;

use super::one;
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::script::{Script, quote};

/// apt may wait five minutes for another apt, and then has to download.
const DEADLINE: Duration = Duration::from_secs(900);

/// Waits up to five minutes for another apt and says for which: apt itself waits in silence, and for
/// the lock on its lists not at all. `flock` does not see locks of this kind, `/proc/locks` does.
const AWAIT_LOCKS: &str = r#"holder() {
  for inode in $(stat -c %i -- /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock \
    /var/lib/apt/lists/lock /var/cache/apt/archives/lock 2>/dev/null); do
    while read -r number kind level access process place rest; do
      case $kind:$place in POSIX:*:"$inode")
        name=$(cat "/proc/$process/comm" 2>/dev/null) || name='another program'
        printf '%s (process %s)' "$name" "$process"
        return 0 ;;
      esac
    done </proc/locks
  done
  return 1
}
limit=$(( $(date +%s) + 300 ))
while by=$(holder) && [ "$(date +%s)" -lt "$limit" ]; do
  progress "waiting for $by, which holds apt's lock, $(( limit - $(date +%s) )) s left"
  sleep 1
done
"#;

/// Packages that must be installed; nothing else is ever upgraded.
#[derive(Debug, Clone)]
pub struct Packages(Vec<&'static str>);

impl Packages {
    /// Requires `names` to be installed.
    #[must_use]
    pub fn installed(names: &[&'static str]) -> Self {
        Self(names.to_vec())
    }
}

impl Action for Packages {
    fn subject(&self) -> String {
        String::from("packages")
    }

    fn probe(&self) -> Vec<Question> {
        self.0.iter().map(|name| Question::Package((*name).to_owned())).collect()
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let mut missing = Vec::new();
        for (index, name) in self.0.iter().enumerate() {
            match one(seen, index)? {
                Answer::Package(Some(_)) => {}
                Answer::Package(None) => missing.push(*name),
                other => bail!("expected a package's version, got {other:?}"),
            }
        }
        if missing.is_empty() {
            return Ok(None);
        }
        let names: Vec<String> = missing.iter().map(|name| quote(name)).collect();
        let text = format!(
            "export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l\n\
             {AWAIT_LOCKS}\
             apt() {{ apt-get -qq -y -o DPkg::Lock::Timeout=60 -o Dpkg::Options::=--force-confold \
             --no-install-recommends --no-upgrade \"$@\" </dev/null; }}\n\
             progress 'apt-get install {names}'\n\
             apt install {names} 2>/dev/null && exit 0\n\
             progress 'apt-get update'\napt update\n\
             progress 'apt-get install {names}'\napt install {names}\n",
            names = names.join(" ")
        );
        Ok(Some(Change {
            summary: format!("install {}", missing.join(", ")),
            diff: Some(format!("+ {}\n", missing.join("\n+ "))),
            apply: Script::new(text).deadline(DEADLINE),
            undo: Undo::Never,
        }))
    }
}
