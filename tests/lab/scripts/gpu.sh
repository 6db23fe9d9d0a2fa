#!/bin/sh
# What NVIDIA's driver of the version in $1 and one card leave in /dev, /proc and /sys of a host.
# What is in /run/lab-gpu may be changed: it is seen at once.
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

state=/run/lab-gpu
card=$state/pci/0000:01:00.0
mkdir -p "$state/driver/nvidia" "$card"
printf 'NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  %s  Release Build  (lab)\n' "$1" \
    >"$state/driver/nvidia/version"
printf '0x10de\n' >"$card/vendor"
printf '0x030000\n' >"$card/class"
printf '0x2684\n' >"$card/device"
mount --bind "$state/driver" /proc/driver
mount --bind "$state/pci" /sys/bus/pci/devices
# They can be opened, as those of a card can: they are /dev/null.
for name in nvidia0 nvidiactl nvidia-uvm; do
    if ! [ -e "/dev/$name" ]; then
        mknod -m 0666 "/dev/$name" c 1 3
    fi
done
