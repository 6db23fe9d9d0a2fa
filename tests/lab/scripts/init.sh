#!/bin/sh
# The first process of a host, before its systemd: makes the kernel's own settings private
# to the host, and hands it cgroup controllers that it may write to.
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

private=/run/lab-sys
live='hostname domainname shmmax shmall shmmni sem msgmax msgmnb msgmni ns_last_pid random'

copy() {
    mkdir -p "$private/$1"
    find "/proc/sys/$1" -mindepth 1 | while read -r path; do
        copy=$private/${path#/proc/sys/}
        case $path in
        */kernel/random/*) ;;
        *)
            if [ -d "$path" ]; then
                mkdir -p "$copy"
            else
                cat "$path" >"$copy" 2>/dev/null || : >"$copy"
            fi
            ;;
        esac
    done
}

# Only net and user are namespaced as a whole: whatever else a host writes would be the
# setting of the machine that the lab runs on, and of every other host.
for top in /proc/sys/*; do
    name=${top##*/}
    case $name in
    net | user) continue ;;
    esac
    copy "$name"
    if [ "$name" = kernel ]; then
        for key in $live; do
            if [ -e "$top/$key" ]; then
                mount --bind "$top/$key" "$private/$name/$key"
            fi
        done
    fi
    mount --rbind "$private/$name" "$top"
done

# Hybrid machines: nspawn mounts the version 1 controllers read-only.
if [ -d /sys/fs/cgroup/unified ]; then
    mount -o remount,rw /sys/fs/cgroup
    for controller in /sys/fs/cgroup/*; do
        name=${controller##*/}
        case $name in
        systemd | unified) continue ;;
        esac
        if ! [ -L "$controller" ]; then
            umount "$controller"
            mount -t cgroup -o "$name" cgroup "$controller"
        fi
    done
fi

exec /sbin/init
