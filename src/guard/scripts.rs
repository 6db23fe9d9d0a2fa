//! What a host is told to do as a guard: arm, let go, take back, tell.

use std::time::Duration;

use super::{FIRED, Marker, UNDOING};
use crate::receipt::{Entry, PATIENCE, STATE, undo};
use crate::script::{Body, Script, quote};

/// What runs when nobody confirms: at the deadline, at the next boot, or when we ask for it.
const FIRE: &str = include_str!("fire.sh");
/// The unit of the next boot; it is there only while a step is unconfirmed.
const UNIT: &str = include_str!("../../templates/oceanid-guard.service");
/// The transient timer, and the service that it starts.
const TIMER: &str = "oceanid-guard-timer";
/// How long what must hold after a step may take to do so.
const SETTLING: Duration = Duration::from_secs(20);

impl Marker {
    /// What stands before and after each change, so that the time runs from the last one.
    #[must_use]
    pub fn extend(&self) -> String {
        format!(
            "if read -r up rest </proc/uptime; then\n\
             printf '%s\\n' \"$(( ${{up%%.*}} + {} ))\" >{STATE}/guard/until.new && mv -f -- {STATE}/guard/until.new {STATE}/guard/until || :\nfi\n",
            self.seconds
        )
    }

    /// What stands before a change that must not be made unguarded: somebody may have slept in between.
    #[must_use]
    pub fn is_armed(&self) -> String {
        let run = quote(&format!("\"run\":\"{}\"", self.run));
        format!(
            "case $(cat -- {STATE}/guard/armed 2>/dev/null) in *{run}*) ;; *)\n\
             echo 'the guard of this step is armed no more, so nothing was changed' >&2; exit {FIRED} ;; esac\n"
        )
    }

    /// What must hold, as a command; one try never outlasts the guard.
    fn check(&self, holds: Option<&str>) -> String {
        let Some(script) = holds else { return String::from("true") };
        let limit = (self.seconds / 2).clamp(2, 15);
        format!("timeout {limit} /bin/sh -c {}", quote(&format!("set -eu\n{script}")))
    }

    /// Arms the host: from now on it undoes `entries` by itself; `holds` is what must still work afterwards.
    pub(super) fn arm(&self, entries: &[Entry], holds: Option<&str>) -> Script {
        let undo = undo(entries);
        let marker = serde_json::to_string(self).expect("a marker is plain data");
        let entry = serde_json::to_string(&Entry::Guard { from: self.from, to: self.to });
        let entry = entry.expect("an entry is plain data");
        let check = self.check(holds);
        let text = format!(
            r#"set -eu
umask 077
state={STATE} guard={STATE}/guard units=/etc/systemd/system
mkdir -p -- "$guard" "$units/multi-user.target.wants"
exec 7>>"$state/guard.flock"
flock -w 10 7
for over in firing fired; do
  if [ -e "$guard/$over" ]; then echo 'an earlier step was taken back a moment ago' >&2; exit {FIRED}; fi
done
cat >"$guard/undo.new"
[ "$(stat -c %s -- "$guard/undo.new")" = {length} ] || {{ echo 'the upload broke off; nothing was changed' >&2; exit 74; }}
mv -f -- "$guard/undo.new" "$guard/undo"
printf %s {fire} >"$guard/fire"
printf '%s\n' {entry} >"$guard/entry"
printf '%s\n' "$state/receipts/{run}.jsonl" >"$guard/receipt"
if ! [ -e "$guard/armed" ]; then
  if {check} >/dev/null 2>&1; then echo yes >"$guard/held"; else echo no >"$guard/held"; fi
fi
{extend}printf %s {unit} >"$units/oceanid-guard.service.new"
mv -f -- "$units/oceanid-guard.service.new" "$units/oceanid-guard.service"
chmod 0644 -- "$units/oceanid-guard.service"
ln -sfn -- ../oceanid-guard.service "$units/multi-user.target.wants/oceanid-guard.service"
printf '%s\n' {marker} >"$guard/armed.new"
mv -f -- "$guard/armed.new" "$guard/armed"
sync -- "$guard/undo" "$guard/fire" "$guard/armed" "$guard" "$units/oceanid-guard.service" "$units/multi-user.target.wants"
exec 7>&-
if ! systemctl is-active -q {TIMER}.timer {TIMER}.service; then
  systemctl reset-failed {TIMER}.timer {TIMER}.service 2>/dev/null || :
  systemd-run --quiet --collect --unit={TIMER} --on-active={seconds} --timer-property=AccuracySec=200ms \
    /bin/sh "$guard/fire" timer || {{ rm -rf -- "$guard" "$units/oceanid-guard.service" "$units/multi-user.target.wants/oceanid-guard.service"; exit 1; }}
fi
"#,
            length = undo.text().len(),
            fire = quote(FIRE),
            unit = quote(UNIT),
            marker = quote(&marker),
            entry = quote(&entry),
            run = self.run,
            extend = self.extend(),
            seconds = self.seconds,
        );
        Script::new(text).stdin(Body::Text(undo.text().to_owned()))
    }

    /// Lets the guard go, through a new login, if what held before the step holds now.
    pub(super) fn confirm(&self, holds: Option<&str>) -> Script {
        let settling = SETTLING.as_secs();
        let check = self.check(holds);
        let text = format!(
            r#"set -eu
umask 077
state={STATE} guard={STATE}/guard units=/etc/systemd/system
# We are in: what must still settle has its own deadline.
stay() {{ if [ -e "$guard/armed" ]; then :
{extend}fi; }}
stay
if [ "$(cat -- "$guard/held" 2>/dev/null)" = yes ]; then
  read -r up rest </proc/uptime; end=$(( ${{up%%.*}} + {settling} ))
  until said=$( {check} 2>&1 ); do
    read -r up rest </proc/uptime
    if [ "${{up%%.*}}" -ge "$end" ]; then
      systemd-run --quiet --collect --wait --unit=oceanid-guard-now /bin/sh "$guard/fire" "what held before no longer does: ${{said##*
}}" || :
      exit {FIRED}
    fi
    stay
    printf '::oceanid:: %s\n' "what held before the step must hold again: ${{said##*
}}" >&2
    sleep 1
  done
fi
exec 7>>"$state/guard.flock"
flock -w 30 7
if ! [ -e "$guard/armed" ] || [ -e "$guard/firing" ] || [ -e "$guard/fired" ]; then exit {FIRED}; fi
mv -- "$guard/armed" "$guard/confirmed"
rm -f -- "$units/multi-user.target.wants/oceanid-guard.service" "$units/oceanid-guard.service"
sync -- "$guard" "$units" "$units/multi-user.target.wants"
systemctl stop {TIMER}.timer {TIMER}.service 2>/dev/null || :
rm -rf -- "$guard"
"#,
            extend = self.extend(),
        );
        Script::new(text).deadline(SETTLING + UNDOING + Duration::from_secs(40))
    }
}

/// Has the host take the step back now, unless it does so already.
pub(super) fn fire(reason: &str) -> Script {
    let text = format!(
        "[ -e {STATE}/guard/armed ] || [ -e {STATE}/guard/firing ] || exit {FIRED}\n\
         systemd-run --quiet --collect --wait --unit=oceanid-guard-now /bin/sh {STATE}/guard/fire {} || :\n\
         exit {FIRED}\n",
        quote(reason)
    );
    Script::new(text).deadline(UNDOING * 8)
}

/// Waits until the guard has done its work, reads what it did, and forgets it: somebody has been told.
pub(super) fn tell() -> Script {
    let limit = (UNDOING * 4).as_secs();
    let text = format!(
        r#"state={STATE} guard={STATE}/guard
read -r up rest </proc/uptime; end=$(( ${{up%%.*}} + {limit} ))
while [ -e "$guard/firing" ] && ! [ -e "$guard/fired" ]; do
  # Who was at it died: nobody has the lock.
  if flock -n "$state/change.flock" true; then
    systemd-run --quiet --collect --wait --unit=oceanid-guard-now /bin/sh "$guard/fire" again || :
  fi
  read -r up rest </proc/uptime
  [ "${{up%%.*}}" -lt "$end" ] || {{ echo 'it is still taking it back' >&2; exit 1; }}
  sleep 0.2
done
[ -e "$guard/fired" ] || {{ echo 'there is no guard' >&2; exit 3; }}
cat -- "$guard/fired" "$guard/why"
if [ "$(cat -- "$guard/status")" != 0 ]; then cat -- "$guard/said"; fi
rm -rf -- "$guard"
"#
    );
    Script::new(text).deadline(UNDOING * 5)
}

/// Waits until the guard that is about `marker` has done its work, and says how long that will be.
pub(super) fn wait(marker: &Marker) -> Script {
    let text = format!(
        r#"guard={STATE}/guard
while [ -e "$guard/armed" ]; do
  until=0; read -r until <"$guard/until"; read -r up rest </proc/uptime
  left=$(( until - ${{up%%.*}} ))
  if [ "$left" -gt 0 ]; then when="in $left s"; else when='once the change that still runs has ended'; fi
  printf '::oceanid:: an earlier run died in `%s`: the host takes that back %s\n' {} "$when" >&2
  sleep 1
done
"#,
        quote(&marker.step)
    );
    Script::new(text).deadline(Duration::from_secs(marker.seconds) + PATIENCE + UNDOING * 2)
}
