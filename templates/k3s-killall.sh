#!/bin/sh
# Laid down by oceanid: ends k3s on this node with all its pods, and takes its network down. What is stored stays.
set -u
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
if [ "$(id -u)" -ne 0 ]; then
  printf 'only root can do this\n' >&2
  exit 1
fi
data=${K3S_DATA_DIR:-/var/lib/rancher/k3s}
status=0

# What is mounted at or below a path, the deepest first.
mounts() {
  awk -v top="$1" '$2 == top || index($2, top "/") == 1 { print $2 }' /proc/self/mounts | sort -ru
}

# Unmounts everything below a path, and removes the path only if that worked: volumes hold foreign data.
clear_away() {
  mounts "$1" | while read -r place; do umount -- "$(printf '%b' "$place")"; done
  if [ -n "$(mounts "$1")" ]; then
    printf '%s still has mounts below it and is left alone\n' "$1" >&2
    status=1
  else
    rm -rf --one-file-system -- "$1"
  fi
}

# The processes that keep containers running, which outlive k3s itself.
shims() {
  for process in /proc/[0-9]*; do
    case $(tr '\0' ' ' 2>/dev/null <"$process/cmdline") in
      "$data"/data/*/bin/containerd-shim*) printf '%s\n' "${process#/proc/}" ;;
    esac
  done
}

# Those processes and everything that they started.
families() {
  ps -e -o pid= -o ppid= | awk -v heads="$(shims | tr '\n' ' ')" '
    { parent[$1] = $2 }
    END {
      count = split(heads, list, " ")
      for (at = 1; at <= count; at++) chosen[list[at]] = 1
      do {
        found = 0
        for (one in parent) if (!(one in chosen) && (parent[one] in chosen)) { chosen[one] = 1; found = 1 }
      } while (found)
      for (one in chosen) print one
    }'
}

for unit in /etc/systemd/system/k3s*.service; do
  if [ -e "$unit" ]; then systemctl stop -- "${unit##*/}"; fi
done
families | while read -r process; do kill -9 "$process" 2>/dev/null; done

clear_away /run/k3s
clear_away /var/lib/kubelet/pods
clear_away /var/lib/kubelet/plugins
for space in /run/netns/cni-*; do
  if [ -e "$space" ]; then ip netns delete "${space##*/}"; fi
done

ip -o link show master cni0 2>/dev/null | while read -r _ name _; do
  name=${name%:}
  ip link delete "${name%%@*}"
done
for name in cni0 flannel.1 flannel-v6.1 kube-ipvs0 flannel-wg flannel-wg-v6; do
  if [ -e "/sys/class/net/$name" ]; then ip link delete "$name"; fi
done
rm -rf --one-file-system -- /var/lib/cni

# Whole chains of k3s and their uses; rules of others that only mention an interface stay.
for family in iptables ip6tables; do
  if command -v "$family-save" >/dev/null && rules=$("$family-save" 2>/dev/null); then
    printf '%s\n' "$rules" | grep -v -e KUBE- -e CNI- -e FLANNEL | "$family-restore" || status=1
  fi
done
exit "$status"
