//! What to type next for each cause, with the names of this cluster in it.

use super::{Answered, Patient, signs};
use crate::cluster::Role;

pub fn full_disk(patient: &Patient<'_>) -> String {
    let host = &patient.host.name;
    format!(
        "on {host}, `du -xhd3 / | sort -h | tail -n 20` shows what fills it; \
         `journalctl --vacuum-size=100M` is a first help"
    )
}

pub fn wrong_clock(patient: &Patient<'_>) -> String {
    let server = &patient.cluster.first_server().name;
    let host = if signs::is_the_servers(patient) { server } else { &patient.host.name };
    format!("on {host}, `timedatectl set-ntp true` sets it; `timedatectl` tells whether it holds")
}

pub fn cgroup_v1(patient: &Patient<'_>) -> String {
    let host = &patient.host.name;
    format!(
        "on {host}, add `systemd.unified_cgroup_hierarchy=1` to GRUB_CMDLINE_LINUX in \
         /etc/default/grub, then `update-grub && reboot`"
    )
}

pub fn cgroup_memory(patient: &Patient<'_>) -> String {
    let host = &patient.host.name;
    format!(
        "on {host}, add `cgroup_memory=1 cgroup_enable=memory` to the kernel's command line (on a \
         Raspberry Pi in /boot/firmware/cmdline.txt), then `reboot`"
    )
}

pub fn unknown_key_meaning(patient: &Patient<'_>) -> String {
    let key = signs::unknown_key(patient).unwrap_or_default();
    format!("k3s {} does not know the key `{key}` of its config.yaml", patient.cluster.k3s.version)
}

pub fn unknown_key(patient: &Patient<'_>) -> String {
    let k3s = &patient.cluster.k3s;
    let (host, step) = (&patient.host.name, patient.step());
    let further = match patient.host.role {
        Role::Server => &k3s.server,
        Role::Agent => &k3s.agent,
    };
    match signs::unknown_key(patient) {
        Some(key) if further.keys().any(|ours| ours.trim_end_matches('+') == key) => format!(
            "take `{key}` out of {} in cluster.toml, then `oceanid bootstrap --only {step} {host}`",
            patient.section()
        ),
        _ => format!(
            "cluster.toml does not ask for it: `oceanid bootstrap --only {step} {host}` writes \
             config.yaml anew, but leaves what is in config.yaml.d"
        ),
    }
}

pub fn missing_file(patient: &Patient<'_>) -> String {
    let (host, step) = (&patient.host.name, patient.step());
    format!(
        "`oceanid bootstrap --only {step} {host}` lays down what is oceanid's; a file of your own \
         must be there before, or its key leave {} in cluster.toml",
        patient.section()
    )
}

pub fn sysctls(patient: &Patient<'_>) -> String {
    format!("`oceanid bootstrap --only prepare {}` sets them", patient.host.name)
}

pub fn no_wireguard(patient: &Patient<'_>) -> String {
    format!(
        "on {}, `modprobe wireguard` tells why; a kernel without it needs \
         `flannel-backend = \"vxlan\"` in cluster.toml",
        patient.host.name
    )
}

pub fn out_of_reach_meaning(patient: &Patient<'_>) -> String {
    let endpoint = &patient.cluster.k3s.endpoint;
    match &patient.seen.api {
        Some(Answered::Silence(_)) => format!(
            "port 6443 of {endpoint} is blocked from there: a firewall on the way drops the packets"
        ),
        Some(Answered::Refused(_)) => format!(
            "port 6443 of {endpoint} is closed to it: k3s is down there, or a firewall rejects"
        ),
        _ => format!("https://{endpoint}:6443 cannot be reached from there"),
    }
}

pub fn out_of_reach(patient: &Patient<'_>) -> String {
    let (server, host) = (&patient.cluster.first_server().name, &patient.host.name);
    let endpoint = &patient.cluster.k3s.endpoint;
    match &patient.seen.api {
        Some(Answered::Refused(_)) => format!("`oceanid doctor {server}` tells whether k3s is up"),
        _ => format!(
            "`oceanid bootstrap --only firewall {server}` opens it there; a firewall of the \
             provider must let {host} in too: `nc -zvw5 {endpoint} 6443` on {host} tries it"
        ),
    }
}

pub fn token_meaning(patient: &Patient<'_>) -> String {
    let refused = patient.journal.raw(&["401 Unauthorized"]).is_some();
    let other = patient.journal.raw(&["encrypted with different token"]).is_some();
    String::from(match (refused, other) {
        (true, _) => "the join token is wrong: the server refuses its password",
        (_, true) => "the token is wrong: the datastore was encrypted with another",
        _ => "the join token is wrong: it is not whole, or not a token of k3s",
    })
}

pub fn token(patient: &Patient<'_>) -> String {
    let (host, step) = (&patient.host.name, patient.step());
    let first = patient.cluster.first_server();
    if first.name == *host {
        return format!(
            "its first token must be back in {} of cluster.toml or in config.yaml; \
             /var/lib/rancher/k3s/server/token on {host} holds the one that it began with",
            patient.section()
        );
    }
    format!("`oceanid bootstrap --only {step} {host}` fetches the token from {} anew", first.name)
}

pub fn namesake(patient: &Patient<'_>) -> String {
    let (host, step) = (&patient.host.name, patient.step());
    if patient.node() == host {
        let other = patient.server.namesake.as_ref().map_or("", |other| &other.address);
        return format!(
            "give {host} another `name` in cluster.toml, or end k3s on the machine at {other}; then \
             `oceanid join {host}`"
        );
    }
    format!("`oceanid bootstrap --only {step} {host}` gives it back the name `{host}`")
}

pub fn node_password(patient: &Patient<'_>) -> String {
    let host = &patient.host.name;
    format!("`oceanid join --replace {host}` has the cluster forget the old one")
}

pub fn expired(patient: &Patient<'_>) -> String {
    let first = patient.cluster.first_server();
    // An agent that cannot verify has the server's before it, unless its own are seen to be over.
    let (host, role) = match signs::expired(patient) {
        Some(_) => (&patient.host.name, patient.host.role),
        None => (&first.name, first.role),
    };
    format!("on {host}, `systemctl restart {}` renews it", role.unit())
}
