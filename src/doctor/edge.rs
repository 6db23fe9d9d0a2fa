//! Why a tunnel has no edge: what a host shows of its cloudflared, and the known causes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::journal::Journal;
use super::observed::{UnitSeen, unit};
use super::{Finding, Since};
use crate::cluster::{Cloudflared, Cluster, EdgeProtocol, Host, Managed, Tunnel};
use crate::remote::{Output, Remote, RemoteError};
use crate::script::Script;

/// Beyond it the edge's certificate is not yet valid for a host, or no more, seconds.
const SKEW: f64 = 300.0;

/// What the host is asked; a line that its journal holds begins with `| `.
const ASK: &str = r#"unit=cloudflared.service
say() { printf 'seen %s %s\n' "$1" "$2"; }
list() { printf 'seen list %s\n' "$1"; sed 's/^/| /'; printf '\n'; }
date '+seen clock %s.%N'
state=$(systemctl show -p LoadState -p ActiveState -p SubState -p NRestarts -p ExecMainStatus -- "$unit") || :
printf '%s\n' "$state" | list unit
if curl -fsS -o /dev/null --max-time 5 "http://127.0.0.1:$port/ready" 2>/dev/null; then say ready yes; fi
for name in region1.v2.argotunnel.com region2.v2.argotunnel.com; do
  if ! getent ahosts "$name" >/dev/null; then say nameless "$name"; continue; fi
  status=0
  # dash cannot open a connection; bash is on every Debian and Ubuntu.
  said=$(timeout 5 /bin/bash -c 'exec 3<>"/dev/tcp/$1/7844"' bash "$name" 2>&1) || status=$?
  case $status in
    0) say open "$name" ;;
    124) say shut "$name:7844: no answer in 5 s" ;;
    *) say shut "$name:7844: $(printf '%s\n' "$said" | sed -n 's/.*: //;$p')" ;;
  esac
done
listens=$(ss -ltnpH "sport = :$port" 2>/dev/null) || :
say listens "${listens##* }"
journalctl --sync 2>/dev/null || :
journalctl -q -u "$unit" -n 300 --no-pager -o cat --since "$since" 2>/dev/null | list journal
exit 0
"#;

/// What a host showed.
#[derive(Debug, Default)]
struct Seen {
    clock: f64,
    unit: UnitSeen,
    /// A connection to the edge is ready now.
    ready: bool,
    /// Names of the edge that lead nowhere.
    nameless: Vec<String>,
    /// Names of the edge that take connections.
    open: Vec<String>,
    /// Those that do not, and why.
    shut: Vec<String>,
    /// Who listens where cloudflared would tell how it is.
    listens: String,
    journal: Journal,
}

/// What the causes are judged by.
struct Case<'a> {
    seen: Seen,
    tunnel: &'a Tunnel,
    settings: &'a Cloudflared,
    host: &'a str,
    now: f64,
}

/// The one read-only script.
#[must_use]
pub fn ask_edge(settings: &Cloudflared, since: Since) -> Script {
    let since = match since {
        // A unit that restarts itself says the same again and again.
        Since::Start => String::from("-180s"),
        Since::Ago(time) => format!("-{}s", time.as_secs() + 2),
    };
    let text = format!("port={} since={since}\n{ASK}", settings.metrics_port);
    Script::new(text).deadline(Duration::from_secs(90))
}

/// Looks at the tunnel that ends on `host` without changing anything: known causes, the nearest to the root first.
///
/// # Errors
/// When the host does not answer.
pub async fn examine_edge<R: Remote>(
    cluster: &Cluster,
    host: &Host,
    remote: &R,
    since: Since,
) -> Result<Vec<Finding>, RemoteError> {
    let Some(tunnel) = cluster.tunnel(&host.name) else { return Ok(Vec::new()) };
    let settings = &cluster.cloudflared;
    let before = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64());
    let output = remote.run(&ask_edge(settings, since), &|_: &str| ()).await?;
    let seen = read(&output);
    // What went wrong before it was well is of interest only to whoever has just failed.
    if matches!(since, Since::Start) && (seen.ready || !seen.unit.is_installed()) {
        return Ok(Vec::new());
    }
    Ok(diagnose(&Case { seen, tunnel, settings, host: &host.name, now: before }))
}

fn read(output: &Output) -> Seen {
    let mut seen = Seen::default();
    let mut lists: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in output.stdout.lines() {
        if let Some(line) = line.strip_prefix("| ") {
            lists.last_mut().into_iter().for_each(|(_, lines)| lines.push(line));
        } else if let Some(name) = line.strip_prefix("seen list ") {
            lists.push((name, Vec::new()));
        } else if let Some(fact) = line.strip_prefix("seen ") {
            let (key, value) = fact.split_once(' ').unwrap_or((fact, ""));
            match key {
                "clock" => seen.clock = value.parse().unwrap_or_default(),
                "ready" => seen.ready = true,
                "nameless" => seen.nameless.push(value.to_owned()),
                "open" => seen.open.push(value.to_owned()),
                "shut" => seen.shut.push(value.to_owned()),
                "listens" => value.clone_into(&mut seen.listens),
                _ => {}
            }
        }
    }
    for (name, lines) in lists {
        match name {
            "unit" => seen.unit = unit(&lines),
            "journal" => seen.journal = Journal::new(lines),
            _ => {}
        }
    }
    seen
}

/// Known causes, the nearest to the root first: the first that shows brings about those after it.
const CAUSES: &[fn(&Case<'_>) -> Option<Finding>] =
    &[clock, nameless, shut, udp, refused, unreadable, port_taken, other_rules, not_running];

fn diagnose(case: &Case<'_>) -> Vec<Finding> {
    CAUSES.iter().find_map(|cause| cause(case)).into_iter().collect()
}

fn finding(name: &'static str, cause: &str, evidence: Vec<String>, command: String) -> Finding {
    Finding { name, cause: cause.to_owned(), evidence, command }
}

fn bootstrap(case: &Case<'_>) -> String {
    format!("`oceanid bootstrap --only cloudflared {}`", case.host)
}

fn clock(case: &Case<'_>) -> Option<Finding> {
    let said = case.seen.journal.find(&["x509: certificate has expired or is not yet valid"]);
    let skew = case.seen.clock - case.now;
    let off = case.seen.clock != 0.0 && skew.abs() > SKEW;
    if said.is_none() && !off {
        return None;
    }
    let shown = off.then(|| format!("its clock is off by {skew:.0} s"));
    Some(finding(
        "edge-clock",
        "the clock is wrong: the edge's certificate is not yet valid there, or no more",
        said.into_iter().chain(shown).collect(),
        format!("on {}, `timedatectl set-ntp true` sets it", case.host),
    ))
}

fn nameless(case: &Case<'_>) -> Option<Finding> {
    let said = case.seen.journal.find(&["error looking up Cloudflare edge IPs"]);
    if !case.seen.open.is_empty() || !case.seen.shut.is_empty() || case.seen.nameless.is_empty() {
        return None;
    }
    let shown = case.seen.nameless.iter().map(|name| format!("{name} has no address there"));
    Some(finding(
        "edge-dns",
        "the names of Cloudflare's edge lead nowhere: DNS does not work there",
        said.into_iter().chain(shown).collect(),
        format!("on {}, `getent ahosts region1.v2.argotunnel.com` must print addresses", case.host),
    ))
}

fn shut(case: &Case<'_>) -> Option<Finding> {
    if !case.seen.open.is_empty() || case.seen.shut.is_empty() {
        return None;
    }
    let said = case.seen.journal.find(&["Unable to establish connection with Cloudflare edge"]);
    Some(finding(
        "edge-blocked",
        "the edge is out of reach: nothing gets out to port 7844",
        said.into_iter().chain(case.seen.shut.iter().cloned()).collect(),
        format!(
            "let {} out to port 7844, TCP and UDP: in its firewall, its router or at its provider; then {}",
            case.host,
            bootstrap(case)
        ),
    ))
}

fn udp(case: &Case<'_>) -> Option<Finding> {
    let said = case.seen.journal.find(&["Failed to dial a quic connection"])?;
    let up = case.seen.journal.raw(&["Registered tunnel connection"]).is_some();
    let other_way = match case.settings.protocol {
        // What was put back may have gone another way.
        EdgeProtocol::Quic => false,
        EdgeProtocol::Auto => up,
        EdgeProtocol::Http2 => true,
    };
    if other_way || case.seen.journal.raw(&["Unauthorized: "]).is_some() {
        return None;
    }
    let open = case.seen.open.first().map(|name| format!("{name}:7844 takes connections over TCP"));
    Some(finding(
        "edge-udp-blocked",
        "the edge is out of reach over UDP: something on the way lets no QUIC out to port 7844",
        [Some(said), open].into_iter().flatten().collect(),
        format!(
            "set `protocol = \"http2\"` in `[cloudflared]` (now `{}`), then {}",
            case.settings.protocol.name(),
            bootstrap(case)
        ),
    ))
}

fn refused(case: &Case<'_>) -> Option<Finding> {
    let said = case.seen.journal.find(&["Unauthorized: "])?;
    let rotated = said.contains("Invalid tunnel secret");
    let meaning = if rotated {
        "the edge refuses what is to open the tunnel: its secret was changed, or is another tunnel's"
    } else {
        "the edge knows no such tunnel: it was deleted, or is another account's"
    };
    let command = format!(
        "take the token that Cloudflare shows for `{}` now, then {}",
        case.tunnel.name,
        bootstrap(case)
    );
    Some(finding("tunnel-unauthorized", meaning, vec![said], command))
}

fn unreadable(case: &Case<'_>) -> Option<Finding> {
    let texts = [
        "Provided Tunnel token is not valid",
        "Invalid JSON when parsing",
        "credentials file",
        "error parsing YAML",
        "Incorrect Usage",
    ];
    let said = texts.iter().find_map(|text| case.seen.journal.find(&[text]))?;
    let meaning = "cloudflared cannot read what it was given";
    let command = format!("{} lays it down anew", bootstrap(case));
    Some(finding("cloudflared-input", meaning, vec![said], command))
}

fn port_taken(case: &Case<'_>) -> Option<Finding> {
    let said = case.seen.journal.find(&["Error opening metrics server listener"])?;
    let who = Some(case.seen.listens.clone()).filter(|who| !who.is_empty());
    Some(finding(
        "metrics-port",
        "another process has the port where cloudflared is to tell how it is",
        [Some(said), who].into_iter().flatten().collect(),
        format!(
            "end that process, or set another `metrics-port` in `[cloudflared]`; then {}",
            bootstrap(case)
        ),
    ))
}

fn other_rules(case: &Case<'_>) -> Option<Finding> {
    let said = case.seen.journal.find(&["Updated to new configuration"])?;
    (case.tunnel.managed == Managed::Local).then(|| {
        finding(
            "rules-of-cloudflare",
            "Cloudflare hands out rules of its own for this tunnel, and those on the node do not count",
            vec![said],
            String::from("set `managed = \"remote\"` in its `[[tunnel]]`, or make a tunnel of its own for the node"),
        )
    })
}

fn not_running(case: &Case<'_>) -> Option<Finding> {
    if case.seen.ready {
        return None;
    }
    let state = format!("cloudflared.service is {}", case.seen.unit);
    Some(finding(
        "no-edge",
        "no connection to Cloudflare's edge is ready, and none of the known causes shows",
        [Some(state), case.seen.journal.worst()].into_iter().flatten().collect(),
        format!("on {}, `journalctl -u cloudflared -n 100` shows all that it said", case.host),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TUNNEL: &str = "[cluster]\nname = \"lab\"\n[k3s]\nversion = \"v1.36.3+k3s1\"\n[[node]]\nname = \"one\"\n\
        role = \"server\"\naddress = \"192.0.2.1\"\n[[tunnel]]\nnode = \"one\"\nhostname = \"a.example.com\"\n\
        service = \"http://a:1\"\ntoken = { env = \"T\" }\n";

    const OPEN: &str = "seen open region1.v2.argotunnel.com\n";

    fn found(more: &str, said: &[&str]) -> Vec<Finding> {
        let loaded = crate::config::parse("cluster.toml", TUNNEL);
        let cluster = loaded.map_err(|wrong| wrong.to_string()).expect("valid").cluster;
        let lines: Vec<String> = said.iter().map(|line| format!("| {line}\n")).collect();
        let stdout = format!(
            "seen clock 1000.5\nseen list unit\n| LoadState=loaded\n| ActiveState=activating\n| SubState=start\n\
             | NRestarts=1\n| ExecMainStatus=1\n{more}seen list journal\n{}",
            lines.concat()
        );
        let seen = read(&Output { stdout, ..Output::default() });
        let (tunnel, settings) = (&cluster.tunnels[0], &cluster.cloudflared);
        diagnose(&Case { seen, tunnel, settings, host: "one", now: 1000.0 })
    }

    fn name(more: &str, said: &[&str]) -> &'static str {
        found(more, said).first().map_or("", |finding| finding.name)
    }

    #[test]
    fn every_cause_is_told_by_what_shows_it() {
        let quic = "2026-11-24T17:00:00Z ERR Failed to dial a quic connection error=\"failed to dial to edge with quic: timeout: no recent network activity\" connIndex=0";
        let secret = "ERR Register tunnel error from server side error=\"Unauthorized: Invalid tunnel secret\" connIndex=0";
        let gone = "ERR Register tunnel error from server side error=\"Unauthorized: Tunnel not found\" connIndex=0";
        let shut = "seen shut region1.v2.argotunnel.com:7844: Connection refused\n";
        for (more, said, wanted) in [
            ("seen nameless region1.v2.argotunnel.com\n", &[quic][..], "edge-dns"),
            (shut, &[quic], "edge-blocked"),
            (OPEN, &[quic], "edge-udp-blocked"),
            (OPEN, &[quic, secret], "tunnel-unauthorized"),
            (OPEN, &[gone], "tunnel-unauthorized"),
            (OPEN, &["Provided Tunnel token is not valid."], "cloudflared-input"),
            (
                OPEN,
                &[
                    "Error opening metrics server listener: listen tcp 127.0.0.1:20241: bind: address already in use",
                ],
                "metrics-port",
            ),
            (
                OPEN,
                &["INF Updated to new configuration config=\"{}\" version=3"],
                "rules-of-cloudflare",
            ),
            (
                OPEN,
                &["tls: x509: certificate has expired or is not yet valid: current time"],
                "edge-clock",
            ),
            ("seen clock 9000.0\n", &[], "edge-clock"),
            (OPEN, &["ERR something new"], "no-edge"),
        ] {
            assert_eq!(name(more, said), wanted, "{more}{said:?}");
        }
        // It went over to TCP by itself, and is up.
        let up = "INF Registered tunnel connection connIndex=0 location=x protocol=http2";
        assert_eq!(name(&format!("{OPEN}seen ready yes\n"), &[quic, up]), "");
    }

    #[test]
    fn causes_are_told_apart_and_the_next_command_is_named() {
        let secret = found(OPEN, &["error=\"Unauthorized: Invalid tunnel secret\""]);
        let gone = found(OPEN, &["error=\"Unauthorized: Failed to get tunnel\""]);
        assert!(secret[0].cause.contains("secret was changed"), "{secret:?}");
        assert!(gone[0].cause.contains("was deleted"), "{gone:?}");
        assert!(gone[0].command.contains("oceanid bootstrap --only cloudflared one"));
        let quic = found(OPEN, &["Failed to dial a quic connection error=\"x\""]);
        assert!(quic[0].command.contains("protocol = \"http2\""), "{quic:?}");
    }
}
