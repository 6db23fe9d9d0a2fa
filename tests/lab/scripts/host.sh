#!/bin/sh
# Keeps one host up: plugs it into its networks, boots it, and again when it reboots.
# Reads: LAB_NAME LAB_ID (unique on this machine) LAB_DIR LAB_INIT LAB_GATEWAY LAB_LINKS
# (lines: device, address with prefix, bridge, port on the bridge) LAB_MASQUERADE LAB_UUID
# LAB_INSTANCES (further addresses).
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

enter_cgroup() {
    mkdir -p "$1/$LAB_ID"
    if [ -e "$1/$LAB_ID/cpuset.cpus" ] && [ -e "$1/cpuset.mems" ]; then
        cat "$1/cpuset.cpus" >"$1/$LAB_ID/cpuset.cpus"
        cat "$1/cpuset.mems" >"$1/$LAB_ID/cpuset.mems"
    fi
    echo $$ >"$1/$LAB_ID/cgroup.procs"
}

plug() {
    ip netns delete "$LAB_ID" 2>/dev/null || :
    # Two first uses of `ip netns` at once get in each other's way.
    flock /run/lock ip netns add "$LAB_ID"
    ip -n "$LAB_ID" link set lo up
    printf '%s\n' "$LAB_LINKS" | while read -r device address bridge port; do
        ip link delete "$port" 2>/dev/null || :
        ip link add "$port" type veth peer name "$device" netns "$LAB_ID"
        ip link set "$port" master "$bridge" up
        ip -n "$LAB_ID" address add "$address" dev "$device"
        ip -n "$LAB_ID" link set "$device" up
    done
    for address in $LAB_INSTANCES; do
        ip -n "$LAB_ID" address add "$address" dev eth0
    done
    ip -n "$LAB_ID" route add default via "$LAB_GATEWAY"
    if [ -n "$LAB_MASQUERADE" ]; then
        ip netns exec "$LAB_ID" sysctl -qw net.ipv4.ip_forward=1
        ip netns exec "$LAB_ID" nft -f - <<END
table ip home {
    chain forward {
        type filter hook forward priority filter; policy accept;
        iifname "eth0" oifname "eth1" ct state new drop
    }
    chain postrouting {
        type nat hook postrouting priority srcnat;
        oifname "eth0" masquerade
    }
}
END
    fi
}

if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    enter_cgroup /sys/fs/cgroup
else
    for controller in /sys/fs/cgroup/*; do
        if mountpoint -q "$controller"; then
            enter_cgroup "$controller"
        fi
    done
fi

while :; do
    plug
    rm -f "$LAB_DIR/again"
    status=0
    SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes systemd-nspawn --quiet \
        --directory="$LAB_DIR/root" --machine="$LAB_ID" --hostname="$LAB_NAME" \
        --uuid="$LAB_UUID" --register=no --keep-unit --link-journal=no \
        --network-namespace-path="/run/netns/$LAB_ID" --resolv-conf=off --timezone=off \
        --capability=all \
        --system-call-filter='@raw-io @mount bpf keyctl add_key request_key' \
        --bind=/dev/kmsg --bind-ro="$LAB_INIT:/run/lab-init" \
        --console=pipe --kill-signal=SIGRTMIN+3 \
        /bin/sh /run/lab-init || status=$?
    echo "host.sh: the host ended with status $status"
    # 133: it asked for a reboot. The file: somebody pulled the plug and wants it back.
    if [ "$status" -ne 133 ] && ! [ -e "$LAB_DIR/again" ]; then
        exit "$status"
    fi
done
