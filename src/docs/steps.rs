//! What each step makes true, at length.

use crate::steps::{self, Entry, Wave};

/// A step at length: what it does, what can be switched, how it is taken back.
const MORE: &[(&str, &str)] = &[
    (
        "prepare",
        "Installs `ca-certificates`, `curl`, `iptables`, `kmod` and `procps` where they are missing, writes \
         /etc/modules-load.d/oceanid.conf and /etc/sysctl.d/60-oceanid.conf, and sets the same live. A time daemon \
         comes only where none runs. Nothing is upgraded.",
    ),
    (
        "host",
        "The part of the hardening that cannot lock anybody out: kernel parameters, security updates, journal, clock, \
         audit, swap on small nodes, bans, permissions. Each part has a key in `[harden]`.",
    ),
    (
        "ssh",
        "Writes /etc/ssh/sshd_config.d/00-oceanid.conf: keys only, and algorithms that ssh-audit finds no fault with. \
         Guarded: the host undoes it by itself unless oceanid logs in anew within `cluster.guard-seconds`. \
         `harden.ssh = false` leaves sshd alone.",
    ),
    (
        "firewall",
        "Brings ufw to what the cluster needs, by difference: rules of yours stay. Guarded like `ssh`, and k3s must \
         answer as before. `harden.firewall = \"off\"` leaves it alone; `harden.admin-networks` says from where SSH \
         and the API are reached.",
    ),
    (
        "nvidia",
        "For nodes with `gpu = true`: checks that the driver answers, installs the container toolkit from NVIDIA's \
         repository, and writes the specification by which containers get the GPU. It comes before k3s, which looks \
         for the runtime when it starts.",
    ),
    (
        "k3s-server",
        "Brings the verified program of k3s, its config.yaml and its unit, starts it, and waits until the node is \
         Ready. A server that ran before and does not come up with new settings gets its former ones back.",
    ),
    (
        "etcd",
        "With several servers: waits until the new one is a healthy member of etcd, before the next one is touched. It \
         changes nothing.",
    ),
    (
        "old-nodes",
        "With `oceanid join NODE --replace`: removes the node of a machine that is gone, and its password, so that \
         another may take its name.",
    ),
    (
        "k3s-agent",
        "Like `k3s-server`, for an agent. The token is read from the first server each time and checked against its \
         CA; nothing of k3s lands on a host that does not reach the API.",
    ),
    (
        "docker",
        "For nodes with `gpu = true`, where `[triton]` is there: the container engine that Triton runs in, beside k3s \
         and out of its way.",
    ),
    (
        "triton",
        "Runs the Triton inference server in Docker, from the image in `[triton]`, listening on the node's loopback \
         only, and waits until every model is ready. A GPU that it does not see is an error.",
    ),
    (
        "cloudflared",
        "On the node of each `[[tunnel]]`: the verified program, its unit, the token in a file that only root reads, \
         and a wait until Cloudflare's edge is connected.",
    ),
    (
        "nodes",
        "Sets labels and taints of every node through the API, also of nodes that joined long ago. Those of others stay.",
    ),
    (
        "baseline",
        "Namespaces with quotas and network policies, roles, and what else `[baseline]` chooses, through the API by \
         server-side apply. Objects and fields of others stay as they are.",
    ),
    (
        "gpu",
        "Brings NVIDIA's device plugin into the cluster, and waits until it offers as many GPUs as there are.",
    ),
];

/// The step's entry and its longer text.
#[must_use]
pub fn find(name: &str) -> Option<(&'static Entry, &'static str)> {
    let entry = steps::ALL.iter().find(|entry| entry.name == name)?;
    let more = MORE.iter().find(|(step, _)| *step == name).map_or("", |(_, more)| *more);
    Some((entry, more))
}

/// One step at length.
#[must_use]
pub fn one(entry: &Entry, more: &str) -> String {
    let mut text = format!("step {}\n", entry.name);
    super::wrap(&mut text, entry.about, 2);
    text.push('\n');
    super::wrap(&mut text, more, 2);
    text.push('\n');
    let place = match entry.wave {
        Wave::Ground => {
            "It happens on every node that it concerns; on a new agent while the servers come up."
        }
        Wave::Host => "It happens on every node that it concerns.",
        Wave::Cluster => "It happens on the first server, once all nodes are done.",
    };
    super::wrap(&mut text, place, 2);
    super::wrap(
        &mut text,
        &format!("`oceanid plan --diff --only {}` shows its changes.", entry.name),
        2,
    );
    text
}

/// Every step in a few words, in the order in which they happen.
#[must_use]
pub fn all() -> String {
    let mut text = String::from("The steps, in the order in which they happen on a host:\n\n");
    let width = steps::ALL.iter().map(|entry| entry.name.len()).max().unwrap_or_default();
    for Entry { name, about, .. } in steps::ALL {
        super::row(&mut text, name, about, width);
    }
    text.push_str("\n`--only` and `--skip` take several by one name:\n\n");
    for (name, members) in steps::GROUPS {
        super::row(&mut text, name, &members.join(", "), width);
    }
    text.push_str("\n`oceanid docs STEP` says more of one.\n");
    text
}
