//! What of a host is open to everybody although no rule of ours says so.

use anyhow::{Context, bail};

use crate::cluster::{Cluster, Firewall, Host};
use crate::facts::Facts;
use crate::firewall::{QUESTION, Rule, State, wanted};
use crate::remote::{Output, Remote};
use crate::script::Script;

use published::published;
use sockets::{Socket, sockets};

mod published;
mod sockets;

/// Sockets, then what is passed on to containers, then the rules.
const ASK: &str = r"printf '== sockets\n'
if command -v ss >/dev/null; then ss -Htulnp; else printf '!ss\n'; fi
printf '== published\n'
if command -v iptables-save >/dev/null; then
  { iptables-save -t nat; ip6tables-save -t nat; } 2>/dev/null |
    grep -E '^-A (DOCKER|KUBE-NODEPORTS|CNI-HOSTPORT-DNAT|PREROUTING) .*--dports? ' || :
fi
printf '== rules\n'
";

/// Asks a host and says, a line each, what is open to everybody past the rules of ours.
///
/// # Errors
/// When the host cannot be asked.
pub async fn exposure<R: Remote>(
    remote: &R,
    cluster: &Cluster,
    host: &Host,
    facts: &Facts,
) -> anyhow::Result<Vec<String>> {
    let script = Script::new(format!("set -eu\n{ASK}{QUESTION}"));
    let output = remote.run(&script, &|_: &str| ()).await?;
    if output.status != 0 {
        bail!("cannot see what is open on `{}`: {}", host.name, output.stderr.trim());
    }
    let rules = wanted(cluster, host, facts).rules;
    seen(&output, cluster, host, &rules)
        .with_context(|| format!("cannot see what is open on `{}`", host.name))
}

fn seen(
    output: &Output,
    cluster: &Cluster,
    host: &Host,
    rules: &[Rule],
) -> anyhow::Result<Vec<String>> {
    let (listening, rest) = output.stdout.split_once("== published\n").context("cut off")?;
    let (passed_on, answer) = rest.split_once("== rules\n").context("cut off")?;
    let state = State::read(&Output { stdout: answer.to_owned(), ..Output::default() })?;
    let inside = [cluster.k3s.pod_cidr, cluster.k3s.service_cidr];
    let sockets = sockets(listening, &inside);
    let mut lines = published(passed_on);
    if listening.ends_with("!ss\n") {
        lines.push(String::from("not known: what listens, for `ss` is not installed"));
    }
    if host.harden.firewall == Firewall::Off {
        lines.extend(unguarded(&sockets));
        return Ok(lines);
    }
    for socket in sockets.iter().filter(|socket| rules.iter().all(|rule| !socket.is_meant_by(rule)))
    {
        lines.extend(let_in(socket, &state).map(|why| format!("open: {socket}, {why}")));
    }
    Ok(lines)
}

/// One line for all sockets of a host without a firewall.
fn unguarded(sockets: &[Socket]) -> Option<String> {
    let all: Vec<String> = sockets.iter().map(ToString::to_string).collect();
    (!all.is_empty()).then(|| format!("open without a firewall: {}", all.join(", ")))
}

/// The rule of somebody else that lets everybody reach `socket`.
fn let_in(socket: &Socket, state: &State) -> Option<String> {
    let by_ufw = state.families().find_map(|(family, _)| {
        let first = family.rules.iter().find(|rule| socket.is_decided_by(rule))?;
        (first.admits() && !first.is_ours()).then(|| format!("by the foreign rule `{first}`"))
    });
    by_ufw.or_else(|| {
        let mut lines = state.families().flat_map(|(family, _)| family.live.of("INPUT"));
        let line = lines.find(|line| socket.is_accepted_by(line))?;
        Some(format!("by the foreign rule `iptables {line}`"))
    })
}

#[cfg(test)]
mod tests {
    use super::{Firewall, Output, seen};
    use crate::config;

    const SAID: &str = r#"== sockets
udp   UNCONN 0      0            0.0.0.0:8472       0.0.0.0:*
udp   UNCONN 0      0      127.0.0.53%lo:53         0.0.0.0:*    users:(("systemd-resolve",pid=1,fd=3))
tcp   LISTEN 0      128          0.0.0.0:22         0.0.0.0:*    users:(("sshd",pid=1,fd=3))
tcp   LISTEN 0      128             [::]:22            [::]:*    users:(("sshd",pid=1,fd=4))
tcp   LISTEN 0      5            0.0.0.0:8000       0.0.0.0:*    users:(("python3",pid=2,fd=3))
tcp   LISTEN 0      5            0.0.0.0:9000       0.0.0.0:*    users:(("python3",pid=3,fd=3))
tcp   LISTEN 0      5                  *:443              *:*    users:(("caddy",pid=4,fd=3))
tcp   LISTEN 0      5          10.42.0.1:7000       0.0.0.0:*    users:(("inside",pid=5,fd=3))
== published
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8001 -j DNAT --to-destination 172.17.0.2:8000
-A DOCKER -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 8002 -j DNAT --to-destination 172.17.0.3:8000
-A KUBE-NODEPORTS -p tcp -m comment --comment "default/web:http" -m tcp --dport 30080 -j KUBE-EXT-ABC
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \"cbr0\"" -m multiport --dports 80,443 -j CNI-DN-1
== rules
/etc/ufw/user.rules:### tuple ### allow tcp 7990:8010 0.0.0.0/0 any 0.0.0.0/0 in
/etc/ufw/user.rules:### tuple ### deny tcp 9000 0.0.0.0/0 any 0.0.0.0/0 in
/etc/ufw/user.rules:### tuple ### allow any 9000 0.0.0.0/0 any 0.0.0.0/0 in
*filter
-A INPUT -m comment --comment "KUBE-ROUTER rule" -m mark --mark 0x20000/0x20000 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT
-A INPUT -s 10.0.0.0/8 -j ACCEPT
"#;

    fn lines(firewall: Firewall) -> Vec<String> {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster.toml");
        let cluster = config::load(&file).expect("the example is valid").cluster;
        let mut host = cluster.first_server().clone();
        host.harden.firewall = firewall;
        let output = Output { stdout: SAID.to_owned(), ..Output::default() };
        let rules = [crate::firewall::Rule::allow("22", "tcp", None, "ssh")];
        seen(&output, &cluster, &host, &rules).expect("a whole answer")
    }

    #[test]
    fn what_ufw_does_not_cover_and_what_others_opened_is_told() {
        let published = [
            "open past the firewall: 8001/tcp published by docker",
            "open past the firewall: 30080/tcp, a NodePort of default/web:http",
            "open past the firewall: 80,443/tcp, a port of a pod or of ServiceLB",
        ];
        let opened = [
            "open: 8000/tcp (python3), by the foreign rule `ufw allow 7990:8010/tcp`",
            "open: 443/tcp (caddy), by the foreign rule `iptables -A INPUT -p tcp -m tcp --dport 443 -j ACCEPT`",
        ];
        assert_eq!(lines(Firewall::Ufw), [&published[..], &opened].concat());
        let all = "open without a firewall: 8472/udp, 22/tcp (sshd), 8000/tcp (python3), 9000/tcp (python3), 443/tcp (caddy)";
        assert_eq!(lines(Firewall::Off), [&published[..], &[all]].concat());
    }
}
