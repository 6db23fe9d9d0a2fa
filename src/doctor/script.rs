//! The one read-only script that looks at a host.

use std::fmt::Write as _;
use std::time::Duration;

use crate::cluster::{Cluster, Host};
use crate::kube::{self, Identity};
use crate::script::{Script, quote};

/// Since when the journal is read.
#[derive(Debug, Clone, Copy)]
pub enum Since {
    /// Since the unit was last started, as far as that matters for how it is now.
    Start,
    /// Since so long ago.
    Ago(Duration),
}

/// What every host is asked; a line that the host's own files or journal hold begins with `| `.
///
/// A unit that is up is judged by its last minute, as what still goes wrong is said again and again; one that
/// restarts itself by a minute more than since its last start.
const ASK: &str = r#"say() { printf 'seen %s %s\n' "$1" "$2"; }
list() { printf 'seen list %s\n' "$1"; sed 's/^/| /'; printf '\n'; }
first() { line=; if read -r line 2>/dev/null <"$2" || [ -n "$line" ]; then say "$1" "$line"; fi; }
date '+seen clock %s.%N'
first machine-id /etc/machine-id
stat -f --printf 'seen disk %a %S %d %c\n' /var/lib
if [ -e /run/systemd/container ]; then say container yes; fi
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  line=; read -r line </sys/fs/cgroup/cgroup.controllers || :; say cgroups "v2 $line"
elif [ -d /sys/fs/cgroup/memory ]; then say cgroups v1; fi
for key in vm/panic_on_oom vm/overcommit_memory kernel/panic kernel/panic_on_oops; do
  line=; read -r line <"/proc/sys/$key" || :; say sysctl "$key $line"
done
state=$(systemctl show -p LoadState -p ActiveState -p SubState -p NRestarts -p ExecMainStatus \
  -p ActiveEnterTimestampMonotonic -p ExecMainStartTimestampMonotonic -- "$unit") || :
printf '%s\n' "$state" | list unit
config=/etc/rancher/k3s/config.yaml
if [ -e "$config" ]; then
  # What holds a secret is left out already here.
  sed -e '/^[a-z0-9-]*-file:/b' -e 's/^\([a-z0-9-]*token\):.*/\1:/' -e 's/^\([a-z0-9-]*secret\):.*/\1:/' \
    -e 's/^\([a-z0-9-]*password\):.*/\1:/' -e 's/^\([a-z0-9-]*endpoint\):.*/\1:/' \
    -e 's/^\([a-z0-9-]*-key\):.*/\1:/' -e 's/^\(vpn-auth\):.*/\1:/' "$config" | list config
  sed -n -e 's/.*admission-control-config-file=\([^"'"'"' ]*\).*/\1/p' \
    -e 's/.*audit-policy-file=\([^"'"'"' ]*\).*/\1/p' \
    -e 's/^token-file: *["'"'"']*\([^"'"'"' ]*\).*/\1/p' "$config" "$config.d"/*.yaml 2>/dev/null | while read -r file; do
    [ -e "$file" ] || say missing "$file"
  done
fi
if [ -e /etc/rancher/k3s/join-token ]; then
  # The file may end without a newline, and so would what sed prints.
  say token-ca "$(sed -n 's/^K10\([0-9a-f]*\)::.*/\1/p' /etc/rancher/k3s/join-token)"
fi
set --
for file in /var/lib/rancher/k3s/agent/*.crt /var/lib/rancher/k3s/server/tls/*.crt; do
  if [ -e "$file" ]; then set -- "$@" "$file"; fi
done
if [ "$#" -gt 0 ]; then
  awk 'FNR == 1 { over = 0; print "seen list certificate " FILENAME } !over { print "| " $0 } /END CERT/ { over = 1 }' "$@"
fi
"#;

/// The journal of the unit; `$ago` is set where the time is known.
const ASK_JOURNAL: &str = r#"number() { printf '%s\n' "$state" | sed -n "s/^$1=//p"; }
if [ -z "$ago" ]; then
  read -r up rest </proc/uptime; up=${up%%.*}
  begun=$(number ExecMainStartTimestampMonotonic); begun=$(( ${begun:-0} / 1000000 ))
  case $(number ActiveState) in
    active)
      active=$(number ActiveEnterTimestampMonotonic); ago=$(( up - ${active:-0} / 1000000 ))
      [ "$ago" -lt 60 ] || ago=60 ;;
    *) ago=$(( up - begun )); [ "$(number NRestarts)" = 0 ] || ago=$(( ago + 60 )) ;;
  esac
  # Whole seconds were taken from whole seconds; what is too early is left out by what systemd says of starts.
  ago=$(( ago + 2 ))
fi
journalctl -q -u "$unit" -n 400 --no-pager -o cat --since "-${ago}s" 2>/dev/null | list journal
exit 0
"#;

/// Whether the kernel can make `WireGuard`'s device, without making one.
const ASK_WIREGUARD: &str = r"if [ -d /sys/module/wireguard ] || [ -d /sys/class/net/flannel-wg ] ||
  modprobe -nq wireguard 2>/dev/null || grep -q ' wg_noise_init' /proc/kallsyms 2>/dev/null
then say wireguard yes; else say wireguard no; fi
";

/// How the API answers there, and whose it is; `$url` is its address.
const ASK_API: &str = r#"if command -v curl >/dev/null; then
  if head=$(curl -sSk --max-time 6 -o /dev/null -D - -- "$url/ping" 2>&1) &&
    ca=$(curl -sSk --max-time 6 -- "$url/cacerts" 2>/dev/null && printf .); then
    sum=$(printf %s "${ca%.}" | sha256sum); say ca "${sum%% *}"
  fi
  printf '%s\n' "$head" | list api
fi
"#;

/// The script for `host`; `curl` may wait there, so the deadline is not the shortest.
#[must_use]
pub fn ask(cluster: &Cluster, host: &Host, since: Since) -> Script {
    let mut text = format!("unit={}\n{ASK}", quote(host.role.unit()));
    if cluster.k3s.wants_wireguard() {
        text.push_str(ASK_WIREGUARD);
    }
    if host.name != cluster.first_server().name {
        let url = format!("https://{}:6443", cluster.k3s.endpoint);
        let _ = write!(text, "url={}\n{ASK_API}", quote(&url));
    }
    let ago = match since {
        Since::Start => String::new(),
        Since::Ago(time) => (time.as_secs() + 2).to_string(),
    };
    let _ = write!(text, "ago={ago}\n{ASK_JOURNAL}");
    Script::new(text).deadline(Duration::from_secs(60))
}

/// The script for the first server: every node of the cluster.
#[must_use]
pub fn ask_server() -> Script {
    Script::new(kube::get(Identity::Admin, ""))
}
