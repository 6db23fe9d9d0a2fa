#!/bin/sh
# Removes every trace of one lab: processes, mounts, networks, rules, files.
# Usage: teardown.sh PREFIX DIR; PREFIX is what the lab's cgroups and devices start with.
# With --on-eof it first waits until its stdin closes: until the lab's owner has died.
set -u
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

if [ "$1" = --on-eof ]; then
    shift
    cat >/dev/null
fi
prefix=$1
dir=$2

groups() { find /sys/fs/cgroup -maxdepth 2 -type d -name "$prefix-*" 2>/dev/null; }

members() {
    for group in $(groups); do
        find "$group" -name cgroup.procs -exec cat {} + 2>/dev/null
    done | sort -un
}

thaw() {
    for group in $(groups); do
        [ -w "$group/freezer.state" ] && echo THAWED >"$group/freezer.state"
        [ -w "$group/cgroup.freeze" ] && echo 0 >"$group/cgroup.freeze"
    done 2>/dev/null
}

tries=0
while pids=$(members) && [ -n "$pids" ] && [ "$tries" -lt 200 ]; do
    thaw
    # shellcheck disable=SC2086 # one argument a process
    kill -KILL $pids 2>/dev/null
    tries=$((tries + 1))
    sleep 0.05
done

for group in $(groups); do
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
done
for path in /run/netns/"$prefix"-*; do
    [ -e "$path" ] && ip netns delete "${path##*/}"
done
for path in /sys/class/net/"$prefix"-*; do
    [ -e "$path" ] && ip link delete "${path##*/}" 2>/dev/null
done
for family in ip bridge; do
    nft delete table "$family" "$prefix" 2>/dev/null
done
for root in "$dir"/*/root; do
    while mountpoint -q "$root"; do
        umount -R "$root" 2>/dev/null || umount -R -l "$root"
    done
done
for disk in "$dir"/*/disk; do
    while mountpoint -q "$disk"; do
        umount "$disk" 2>/dev/null || umount -l "$disk"
    done
done
rm -rf --one-file-system "$dir"
