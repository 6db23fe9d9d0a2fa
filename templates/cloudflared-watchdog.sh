#!/bin/sh
# Laid down by oceanid: restarts cloudflared where no connection to the edge has been ready for a while.
# cloudflared-watchdog PORT SECONDS
set -eu
LC_ALL=C
export LC_ALL
unit=cloudflared.service
port=$1 patience=$2
longest=3600
state=/var/lib/oceanid/cloudflared/watchdog

now=$(date +%s)
# Since when it is bad, how often it was restarted since then, and when last.
since=0 restarts=0 last=0
if [ -r "$state" ]; then read -r since restarts last <"$state" || :; fi

# keep SINCE RESTARTS LAST WHY
keep() {
  mkdir -p -- "${state%/*}"
  printf '%s %s %s\n%s %s\n' "$1" "$2" "$3" "$(date -u +%FT%TZ)" "$4" >"$state.new"
  mv -f -- "$state.new" "$state"
}

active=$(systemctl show -p ActiveState --value -- "$unit")
case $active in
  active | failed) ;;
  # It is starting, and systemd waits for that; or somebody stopped it on purpose.
  *) exit 0 ;;
esac

if [ "$active" = failed ]; then
  why="$unit is failed: $(systemctl show -p Result --value -- "$unit")"
elif said=$(curl -fsS --max-time 5 -- "http://127.0.0.1:$port/ready" 2>&1); then
  if [ "$since" != 0 ]; then
    printf '<5>%s is connected again, after %s s and %s restarts\n' "$unit" "$((now - since))" "$restarts"
    keep 0 0 0 "connected again after $((now - since)) s and $restarts restarts"
  fi
  exit 0
else
  why="$unit runs, and /ready is bad: $(printf '%s' "$said" | tail -n 1)"
fi

if [ "$since" = 0 ]; then
  printf '<4>%s\n' "$why"
  keep "$now" 0 0 "$why"
  exit 0
fi

wait=$patience count=$restarts
while [ "$count" -gt 0 ] && [ "$wait" -lt "$longest" ]; do
  wait=$((wait * 2)) count=$((count - 1))
done
if [ "$wait" -gt "$longest" ]; then wait=$longest; fi
from=$since
if [ "$last" -gt "$from" ]; then from=$last; fi
if [ "$((now - from))" -lt "$wait" ]; then exit 0; fi

printf '<3>restarting %s, bad for %s s, restart %s: %s\n' "$unit" "$((now - since))" "$((restarts + 1))" "$why"
keep "$since" "$((restarts + 1))" "$now" "restarted: $why"
systemctl reset-failed -- "$unit" 2>/dev/null || :
systemctl --no-block restart -- "$unit"
