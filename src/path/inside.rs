//! Why a hop on the tunnel's own node is broken.

use super::Way;
use super::answer::Answer;
use super::node::{CLOUDFLARED, Ingress, Seen, TRITON};
use crate::doctor::Finding;

/// The service is not there, or not ready.
pub fn service(way: Way<'_>, seen: &Seen, answer: &Answer) -> Finding {
    let (url, host) = (way.service(), &way.host.name);
    let mut evidence = vec![format!("{url}{}: {}", way.asked(), answer.said())];
    evidence.extend(state(seen, "service", TRITON));
    let triton = way.is_to_triton();
    let (name, cause) = match answer {
        Answer::Closed(_) if triton => {
            ("service-down", format!("Triton does not run: nobody listens at {url} on {host}"))
        }
        Answer::Closed(_) => ("service-down", format!("nobody listens at {url} on {host}")),
        Answer::Silent(_) => {
            ("service-silent", format!("what listens at {url} on {host} does not answer in time"))
        }
        Answer::Http(reply) if [404, 405].contains(&reply.status) => {
            ("service-other", format!("what listens at {url} on {host} is not Triton"))
        }
        Answer::Http(_) => (
            "service-not-ready",
            format!("Triton runs on {host} and is not ready: a model loads still, or cannot"),
        ),
        _ => ("service-broken", format!("the service at {url} on {host} does not answer as one")),
    };
    let command = if name == "service-other" {
        format!("on {host}, `ss -ltnp` shows who has the port")
    } else if triton {
        format!(
            "`oceanid bootstrap --only triton {host}` starts it and says what keeps it from being ready"
        )
    } else {
        format!("start the service on {host}, or correct `service` of the tunnel")
    };
    Finding { name, cause, evidence, command }
}

/// cloudflared says nothing.
pub fn down(way: Way<'_>, seen: &Seen, name: &str, answer: &Answer) -> Finding {
    let host = &way.host.name;
    let mut evidence = vec![format!("http://{}: {}", way.metrics(), answer.said())];
    evidence.extend(state(seen, name, CLOUDFLARED));
    Finding {
        name: "cloudflared-down",
        cause: format!("cloudflared does not run on {host}, or shows nothing of itself there"),
        evidence,
        command: format!(
            "`oceanid bootstrap --only cloudflared {host}` starts it and says why it does not"
        ),
    }
}

/// cloudflared answers itself, for want of a rule.
pub fn no_rule(way: Way<'_>, ingress: &Ingress) -> Finding {
    let name = way.hostname();
    Finding {
        name: "no-rule",
        cause: format!("cloudflared has no rule for `{name}`: its last one answers"),
        evidence: rules(ingress),
        command: rule_command(way, ingress),
    }
}

/// cloudflared leads to something else.
pub fn other_service(way: Way<'_>, ingress: &Ingress, found: &str) -> Finding {
    let (name, wanted) = (way.hostname(), way.service());
    Finding {
        name: "other-service",
        cause: format!("cloudflared leads `{name}` to {found}, not to {wanted}"),
        evidence: rules(ingress),
        command: rule_command(way, ingress),
    }
}

fn rules(ingress: &Ingress) -> Vec<String> {
    let from = match ingress.version {
        ..0 => String::from("its own file"),
        version => format!("version {version} of Cloudflare's settings"),
    };
    let any = |name: &str| if name.is_empty() { String::from("any name") } else { name.to_owned() };
    let rule =
        |rule: &super::node::Rule| format!("{from}: {} to {}", any(&rule.hostname), rule.service);
    ingress.rules.iter().take(5).map(rule).collect()
}

fn rule_command(way: Way<'_>, ingress: &Ingress) -> String {
    let host = &way.host.name;
    if ingress.version < 0 {
        return format!(
            "`oceanid plan --diff --only cloudflared {host}` shows what its file lacks"
        );
    }
    format!(
        "at Cloudflare, give the tunnel the public hostname `{}` with the service {}",
        way.hostname(),
        way.service()
    )
}

/// cloudflared runs, and Cloudflare does not know.
pub fn no_edge(way: Way<'_>, seen: &Seen) -> Finding {
    let host = &way.host.name;
    let (_, lines) = seen.unit("edge");
    let said = |parts: &[&str]| {
        lines.iter().any(|line| parts.iter().any(|part| line.to_lowercase().contains(part)))
    };
    let mut evidence = vec![String::from("/ready: no connections")];
    evidence.extend(state(seen, "edge", CLOUDFLARED));
    if said(&["unauthorized", "tunnel not found", "invalid tunnel secret"]) {
        return Finding {
            name: "tunnel-refused",
            cause: String::from(
                "Cloudflare refuses the tunnel: it was deleted, or its credentials are no longer good",
            ),
            evidence,
            command: format!(
                "get the tunnel's token anew from Cloudflare, put it where `[[tunnel]]` says, \
                 then `oceanid bootstrap --only cloudflared {host}`"
            ),
        };
    }
    Finding {
        name: "no-edge",
        cause: format!("cloudflared on {host} has no connection to Cloudflare"),
        evidence,
        command: format!(
            "let {host} out to port 7844, TCP and UDP; without UDP, cloudflared needs \
             `protocol = \"http2\"`; on {host}, `journalctl -u cloudflared -n 50` shows its tries"
        ),
    }
}

/// The unit's state, and the last that it said.
fn state(seen: &Seen, name: &str, unit: &str) -> Vec<String> {
    let (state, lines) = seen.unit(name);
    if state.is_empty() {
        return Vec::new();
    }
    let mut shown = vec![format!("{unit} is {state}")];
    shown.extend(lines.iter().rev().take(2).rev().cloned());
    shown
}
