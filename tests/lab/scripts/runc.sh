#!/bin/sh
# Stands before runc where the machine below lets nobody raise a limit: takes out the one for locked memory.
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

memlock='{"type":"RLIMIT_MEMLOCK"[^}]*}'
before=
for word; do
    if [ "$before" = --bundle ]; then
        sed -i "s/,$memlock//; s/$memlock,//" "$word/config.json"
    fi
    before=$word
done
exec runc "$@"
