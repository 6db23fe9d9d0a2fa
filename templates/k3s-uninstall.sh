#!/bin/sh
# Laid down by oceanid: removes k3s and everything that it stored on this node, the cluster's state included.
set -u
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
if [ "$(id -u)" -ne 0 ]; then
  printf 'only root can do this\n' >&2
  exit 1
fi
bin=/usr/local/bin
data=${K3S_DATA_DIR:-/var/lib/rancher/k3s}
unit=${0##*/}
unit=${unit%-uninstall.sh}
status=0
case $unit in
  k3s|k3s-*) ;;
  *) printf 'the name of this script says which unit goes, and %s is none\n' "$unit" >&2; exit 1 ;;
esac

# Removes a path unless something is mounted at or below it: volumes hold foreign data.
remove() {
  if awk -v top="$1" '$2 == top || index($2, top "/") == 1 { found = 1 } END { exit !found }' /proc/self/mounts; then
    printf '%s has mounts below it and is left alone\n' "$1" >&2
    status=1
  else
    rm -rf --one-file-system -- "$1"
  fi
}

if [ -x "$bin/k3s-killall.sh" ]; then "$bin/k3s-killall.sh" || status=1; fi
systemctl disable -- "$unit.service" 2>/dev/null
rm -f -- "/etc/systemd/system/$unit.service" "/etc/systemd/system/$unit.service.env" \
  "/var/lib/oceanid/units/$unit.service"
systemctl daemon-reload
systemctl reset-failed -- "$unit.service" 2>/dev/null

for other in /etc/systemd/system/k3s*.service; do
  if [ -e "$other" ]; then
    printf '%s is still there: what both use stays\n' "$other" >&2
    rm -f -- "$0"
    exit "$status"
  fi
done
for name in kubectl crictl ctr; do
  if [ "$(readlink -- "$bin/$name")" = k3s ]; then rm -f -- "$bin/$name"; fi
done
for path in /etc/rancher/k3s /run/k3s /run/flannel "$data" /var/lib/kubelet; do remove "$path"; done
if [ "$status" -eq 0 ]; then rm -f -- "$bin/k3s" "$bin/k3s-killall.sh" "$0"; fi
exit "$status"
