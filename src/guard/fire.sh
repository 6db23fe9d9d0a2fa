#!/bin/sh
# Takes back a step that nobody confirmed. Laid down by oceanid before the step's first change.
# Usage: fire timer|boot|REASON
set -u
umask 077
LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
state=/var/lib/oceanid
guard=$state/guard
units=/etc/systemd/system
cd /
# Whoever holds this lock changes the host: a change, or an undo. Nothing is undone without it.
exec 9>>"$state/change.flock"
if [ "$1" = timer ]; then
  # The time runs from the end of the last change, and each change has a deadline of its own.
  while [ -e "$guard/armed" ]; do
    until=0
    read -r until <"$guard/until"
    read -r up rest </proc/uptime
    left=$((until - ${up%%.*}))
    if [ "$left" -gt 0 ]; then
      sleep "$left"
    elif flock -n 9; then
      break
    else
      sleep 1
    fi
  done
elif ! flock -w 20 9; then
  # It would go on where we undo.
  systemctl kill --signal=KILL 'oceanid-change-*.scope'
  flock -w 60 9 || exit 1
fi
exec 7>>"$state/guard.flock"
flock 7
# With the lock in hand, `firing` is what somebody left who died.
if [ -e "$guard/armed" ]; then
  mv -f -- "$guard/armed" "$guard/firing"
elif ! [ -e "$guard/firing" ]; then
  exit 0
fi
exec 7>&-
[ -e "$guard/why" ] || printf '%s %s\n' "$(date +%s)" "$1" >"$guard/why"
timeout -k 5 100 /bin/sh "$guard/undo" >"$guard/said" 2>&1 9>&-
status=$?
printf '%s\n' "$status" >"$guard/status"
# What could not be taken back is left to `oceanid rollback`.
if [ "$status" = 0 ] && [ -r "$guard/entry" ] && read -r receipt <"$guard/receipt"; then
  cat -- "$guard/entry" >>"$receipt"
fi
exec 7>>"$state/guard.flock"
flock 7
rm -f -- "$guard/armed" "$units/multi-user.target.wants/oceanid-guard.service" "$units/oceanid-guard.service"
# A boot has read the unit's file; now it is gone.
[ "$1" != boot ] || systemctl daemon-reload
mv -f -- "$guard/firing" "$guard/fired"
systemctl --no-block stop oceanid-guard-timer.timer 2>/dev/null
# Who fires at the deadline is that service.
[ "$1" = timer ] || systemctl stop oceanid-guard-timer.service 2>/dev/null
exit 0
