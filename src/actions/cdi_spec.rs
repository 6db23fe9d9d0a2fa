//! What the Container Device Interface says of NVIDIA's GPUs, as the driver is now.

use anyhow::bail;

use super::{DISCARD, KEEP, RESTORE, output};
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::script::Script;

/// Where it is; what systemd's own unit of the toolkit makes lies in the second place, and goes before it.
const PATH: &str = "/etc/cdi/nvidia.yaml";

/// `says TEXT` succeeds if a specification is for the running driver and for every card that it shows.
const SAYS: &str = r#"driver=
if read -r line </proc/driver/nvidia/version; then
  for word in $line; do case $word in [0-9]*.[0-9]*) driver=$word; break ;; esac; done
fi 2>/dev/null
says() {
  case "$1 " in *"libcuda.so.$driver"[!0-9.]*) ;; *) echo 'it is for another driver'; return 1 ;; esac
  for device in /dev/nvidia[0-9]*; do
    case "$1 " in *"$device"[!0-9]*) ;; *) printf 'it lacks %s\n' "$device"; return 1 ;; esac
  done
}
"#;

/// A specification that names the libraries of the running driver and every card.
#[derive(Debug, Clone, Copy)]
pub struct CdiSpec;

impl Action for CdiSpec {
    fn subject(&self) -> String {
        format!("CDI specification {PATH}")
    }

    fn probe(&self) -> Vec<Question> {
        vec![Question::Script(format!(
            r#"{SAYS}if [ -z "$driver" ]; then echo 'there is no driver yet'; exit 1; fi
if [ ! -f {PATH} ]; then echo 'there is none'; exit 1; fi
for file in {PATH} /var/run/cdi/nvidia.yaml; do
  if [ -f "$file" ]; then says "$(cat -- "$file")"; fi
done
"#
        ))]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let seen = output(seen, 0)?;
        if seen.status == 0 {
            return Ok(None);
        }
        let why = seen.stdout.trim();
        if why.is_empty() {
            bail!("it cannot be read: {}", seen.stderr.trim());
        }
        let text = format!(
            r#"path={PATH} folder=/etc/cdi
{KEEP}{SAYS}new=$path.oceanid-new
{DISCARD}nvidia-ctk --quiet cdi generate >"$new"
if ! why=$(says "$(cat -- "$new")"); then
  printf 'nvidia-ctk made a specification that is not right: %s; nothing was replaced\n' "$why" >&2
  exit 1
fi
chmod 0644 -- "$new"
sync -- "$new"
other=/var/run/cdi/nvidia.yaml
if [ -f "$other" ] && ! says "$(cat -- "$other")" >/dev/null; then
  cp -- "$new" "$other.oceanid-new"
  mv -f -- "$other.oceanid-new" "$other"
fi
mv -f -- "$new" "$path"
"#
        );
        Ok(Some(Change {
            summary: format!("generate: {why}"),
            diff: None,
            apply: Script::new(text),
            undo: Undo::Run(Script::new(format!("path={PATH}\n{RESTORE}"))),
        }))
    }
}
