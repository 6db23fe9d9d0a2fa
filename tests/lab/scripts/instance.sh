#!/bin/sh
# Serves SSH on address $1 as if it were a host of its own; runs in new mount and UTS namespaces.
set -eu
identity=/run/lab-machine-id-$1
printf %s "$1" | md5sum | cut -c 1-32 >"$identity"
mount --bind "$identity" /etc/machine-id
hostname "node-${1##*.}"
exec /usr/sbin/sshd -D -o ListenAddress="$1" -o PidFile=none
