//! The ways that a firewall must leave open on a node with k3s: to the API, to services, to DNS.

use std::net::IpAddr;

use serde_json::Value;

use crate::cluster::{Cluster, Host, Role};
use crate::script::quote;

/// How long each question may take, seconds.
const PATIENCE: u8 = 5;

/// Asks from within pods, three at most: one of them may be on its way out.
const PODS: &str = r#"for net in /run/netns/cni-*; do
  [ -e "$net" ] || exit 0
  tried=$(( tried + 1 ))
  if [ "$tried" -gt 3 ]; then break; fi
  if in_pod "$net"; then exit 0; fi
done
printf '%s\n' "$broken"
exit 1
"#;

/// A read-only script that succeeds while a node reaches the API, and its pods the services and DNS.
///
/// It succeeds where k3s does not run and where there are no pods. Its last line says what does not work.
#[must_use]
pub fn paths_hold(cluster: &Cluster, host: &Host) -> String {
    let unit = host.role.unit();
    let api = match host.role {
        Role::Server => "127.0.0.1",
        Role::Agent => &cluster.k3s.endpoint,
    };
    let api = quote(&format!("https://{api}:6443/ping"));
    format!(
        "systemctl -q is-active {unit} || exit 0\n\
         if [ \"$(curl -sk --max-time {PATIENCE} -- {api})\" != pong ]; then\n\
         printf 'the API at %s does not answer from this host\\n' {api}\nexit 1\nfi\n\
         tried=0 broken=\nin_pod() {{\n{service}{dns}}}\n{PODS}",
        service = service(cluster),
        dns = dns(cluster),
    )
}

/// Any answer will do: pods without an account get 401.
fn service(cluster: &Cluster) -> String {
    let Some(address) = nth(cluster, 1) else { return String::new() };
    let host = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
    format!(
        "nsenter --net=\"$1\" curl -sk -o /dev/null --max-time {PATIENCE} https://{host}:443/ || {{\n\
         broken='pods on this host do not reach the service kubernetes at {address}'; return 1; }}\n"
    )
}

/// Through the host's own resolver, as a pod would ask.
fn dns(cluster: &Cluster) -> String {
    let Some(address) = pods_dns(cluster) else { return String::new() };
    let setting = |key: &str| cluster.k3s.server.get(key).and_then(Value::as_str);
    let domain = setting("cluster-domain").unwrap_or("cluster.local");
    let ask = format!(
        "{}exec getent -s hosts:dns ahosts {}",
        as_pods_resolve(&address),
        quote(&format!("kubernetes.default.svc.{domain}.")),
    );
    format!(
        "nsenter --net=\"$1\" unshare --mount sh -ec {ask} >/dev/null 2>&1 || {{\n\
         broken={broken}; return 1; }}\n",
        ask = quote(&ask),
        broken = quote(&format!("pods on this host get no answer from DNS at {address}")),
    )
}

/// Where pods ask for names; `None` where that is not k3s' own `CoreDNS`.
#[must_use]
pub fn pods_dns(cluster: &Cluster) -> Option<String> {
    let set = cluster.k3s.server.get("cluster-dns").and_then(Value::as_str);
    let address =
        set.map_or_else(|| Some(nth(cluster, 10)?.to_string()), |set| Some(set.to_owned()));
    address.filter(|_| !cluster.k3s.disable.iter().any(|name| name == "coredns"))
}

/// The start of a script that resolves names as pods do, in a mount namespace of its own: through
/// the server at `address`, and without what the host's own files say.
#[must_use]
pub fn as_pods_resolve(address: &str) -> String {
    format!(
        "mount -t tmpfs tmpfs /mnt\n\
         printf 'nameserver %s\\noptions timeout:2 attempts:2\\n' {address} >/mnt/resolv.conf\n\
         printf '127.0.0.1 localhost\\n' >/mnt/hosts\n\
         printf 'hosts: files dns\\n' >/mnt/nsswitch.conf\n\
         for file in resolv.conf hosts nsswitch.conf; do\n\
         [ ! -e /etc/$file ] || mount --bind /mnt/$file /etc/$file\ndone\n",
        address = quote(address),
    )
}

/// The address of a service that Kubernetes counts from the start of their network.
fn nth(cluster: &Cluster, place: u8) -> Option<IpAddr> {
    match cluster.k3s.service_cidr.network() {
        IpAddr::V4(first) => {
            Some(IpAddr::V4(u32::from(first).checked_add(u32::from(place))?.into()))
        }
        IpAddr::V6(first) => {
            Some(IpAddr::V6(u128::from(first).checked_add(u128::from(place))?.into()))
        }
    }
}
