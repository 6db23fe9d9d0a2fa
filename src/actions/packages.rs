//! Debian packages that must be installed, at whatever version the host's sources give.

use std::time::Duration;

use anyhow::bail;

use super::one;
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::script::{Script, quote};

/// apt may wait five minutes for another apt, and then has to download.
pub(super) const DEADLINE: Duration = Duration::from_secs(900);

/// Waits up to five minutes for another apt and says for which: apt itself waits in silence, and for
/// the lock on its lists not at all. `flock` does not see locks of this kind, `/proc/locks` does.
pub(super) const AWAIT_LOCKS: &str = r#"holder() {
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
pub struct Packages {
    wanted: Vec<&'static str>,
    /// Packages that cannot be there beside them.
    unwanted: Vec<&'static str>,
}

impl Packages {
    /// Requires `names` to be installed.
    #[must_use]
    pub fn installed(names: &[&'static str]) -> Self {
        Self { wanted: names.to_vec(), unwanted: Vec::new() }
    }

    /// Has `names` removed: they cannot be there beside the others. Their configuration stays.
    #[must_use]
    pub fn without(mut self, names: &[&'static str]) -> Self {
        self.unwanted = names.to_vec();
        self
    }

    /// The names that the host has installed, and those that it has not.
    fn sorted(&self, seen: &[Answer]) -> anyhow::Result<(Vec<&'static str>, Vec<&'static str>)> {
        let (mut there, mut missing) = (Vec::new(), Vec::new());
        for (index, name) in self.wanted.iter().chain(&self.unwanted).enumerate() {
            match one(seen, index)? {
                Answer::Package(Some(_)) => there.push(*name),
                Answer::Package(None) => missing.push(*name),
                other => bail!("expected a package's version, got {other:?}"),
            }
        }
        Ok((there, missing))
    }
}

impl Action for Packages {
    fn subject(&self) -> String {
        String::from("packages")
    }

    fn probe(&self) -> Vec<Question> {
        let names = self.wanted.iter().chain(&self.unwanted);
        names.map(|name| Question::Package((*name).to_owned())).collect()
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let (there, missing) = self.sorted(seen)?;
        let install: Vec<&str> =
            missing.into_iter().filter(|name| self.wanted.contains(name)).collect();
        let remove: Vec<&str> =
            there.into_iter().filter(|name| self.unwanted.contains(name)).collect();
        if install.is_empty() && remove.is_empty() {
            return Ok(None);
        }
        // apt takes a name with a minus as one to remove.
        let names: Vec<String> = install
            .iter()
            .map(|name| quote(name))
            .chain(remove.iter().map(|name| format!("{}-", quote(name))))
            .collect();
        let text = format!(
            "export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l\n\
             {AWAIT_LOCKS}\
             apt() {{ apt-get -qq -y -o DPkg::Lock::Timeout=60 -o Dpkg::Options::=--force-confold \
             --no-install-recommends --no-upgrade \"$@\" </dev/null; }}\n\
             progress 'apt-get install {names}'\n\
             apt install {names} 2>/dev/null && exit 0\n\
             progress 'apt-get update'\n\
             if apt update; then progress 'apt-get install {names}'; if apt install {names}; then exit 0; fi; fi\n\
             printf 'apt cannot get {names}: a host without a way out needs them before\\n' >&2\nexit 1\n",
            names = names.join(" ")
        );
        let (mut told, mut lines) = (Vec::new(), Vec::new());
        for (verb, mark, names) in [("install", '+', &install), ("remove", '-', &remove)] {
            if !names.is_empty() {
                told.push(format!("{verb} {}", names.join(", ")));
            }
            lines.extend(names.iter().map(|name| format!("{mark} {name}\n")));
        }
        Ok(Some(Change {
            summary: told.join("; "),
            diff: Some(lines.concat()),
            apply: Script::new(text).deadline(DEADLINE),
            undo: Undo::Never,
        }))
    }
}
