//! Why a call of the public name does not come back as it should: a table of what was seen, in a sentence, and with what to type next.

use super::Way;
use super::answer::{Answer, Reply};
use crate::cluster::Access;
use crate::doctor::Finding;

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller<'a> {
    /// This machine, without credentials.
    Here,
    /// This machine, with the service token.
    Token,
    /// A pod on that host, with the service token where there is one.
    Pod(&'a str),
}

/// An answer that is not the right one.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    way: Way<'a>,
    caller: Caller<'a>,
    answer: &'a Answer,
}

/// A known cause.
struct Cause {
    /// What it is called: part of the JSON schema.
    name: &'static str,
    /// Whether the answer shows it.
    fits: fn(&Case<'_>) -> bool,
    /// The cause, in a sentence.
    meaning: fn(&Case<'_>) -> String,
    /// What to type next.
    command: fn(&Case<'_>) -> String,
}

impl<'a> Case<'a> {
    /// What `caller` got.
    pub fn new(way: Way<'a>, caller: Caller<'a>, answer: &'a Answer) -> Self {
        Self { way, caller, answer }
    }

    fn reply(&self) -> Option<&Reply> {
        match self.answer {
            Answer::Http(reply) => Some(reply),
            _ => None,
        }
    }

    fn is(&self, status: u16) -> bool {
        self.answer.status() == Some(status)
    }

    fn code(&self) -> Option<u16> {
        self.reply().and_then(Reply::code)
    }

    fn is_meant_open(&self) -> bool {
        matches!(self.way.tunnel.access, Access::Open)
    }

    /// Somebody without credentials, who should have been stopped by then.
    fn is_stranger(&self) -> bool {
        self.caller == Caller::Here && !self.is_meant_open()
    }

    fn from(&self) -> String {
        match self.caller {
            Caller::Here | Caller::Token => String::from("from here"),
            Caller::Pod(host) => format!("from a pod on {host}"),
        }
    }
}

/// What the answer comes from; the first row that fits is the cause.
pub fn find(case: &Case<'_>) -> Finding {
    let known = CAUSES.iter().find(|known| (known.fits)(case)).unwrap_or(&UNKNOWN);
    let name = case.way.hostname();
    let mut evidence = vec![format!("https://{name}{}: {}", case.way.asked(), case.answer.said())];
    // Access comes before tunnels and services, and after limits.
    let passed = ["redirected", "no-rule-there", "service-out-of-reach", "no-tunnel"];
    if case.is_stranger() && passed.contains(&known.name) {
        evidence.push(String::from("the call had no credentials, and Access did not stop it"));
    }
    Finding {
        name: known.name,
        cause: (known.meaning)(case),
        evidence,
        command: (known.command)(case),
    }
}

/// Triton is ready, and does not show its models.
pub fn no_models(way: Way<'_>, answer: &Answer) -> Finding {
    Finding {
        name: "no-model-list",
        cause: String::from("Triton is ready, and its list of models does not come through"),
        evidence: vec![format!(
            "POST https://{}/v2/repository/index: {}",
            way.hostname(),
            answer.said()
        )],
        command: String::from(
            "let the path /v2/repository/index through: a rule of the zone or of Triton keeps it back",
        ),
    }
}

const UNKNOWN: Cause = Cause {
    name: "unexpected-answer",
    fits: |_| true,
    meaning: |case| format!("`{}` answers, and not as the service does", case.way.hostname()),
    command: |case| {
        let host = &case.way.host.name;
        format!("on {host}, `journalctl -u cloudflared -n 50` shows what came through the tunnel")
    },
};

const CAUSES: &[Cause] = &[
    Cause {
        name: "open-to-everybody",
        fits: |case| {
            case.is_stranger()
                && case.answer.status().is_some_and(|code| (200..300).contains(&code))
        },
        meaning: |case| {
            format!(
                "ALARM: `{}` is open to everybody: Access does not guard it",
                case.way.hostname()
            )
        },
        command: close,
    },
    Cause {
        name: "guarded",
        fits: |case| {
            case.caller == Caller::Here
                && (case.is(401) || case.is(403) || case.reply().is_some_and(Reply::asks_for_login))
        },
        meaning: |case| {
            format!("Access guards `{}`, which should be open to everybody", case.way.hostname())
        },
        command: |_| {
            String::from("take `open = true` out of `access`, or take the Access application away")
        },
    },
    Cause {
        name: "blocked-by-rule",
        fits: |case| case.is(403) && case.code().is_some(),
        meaning: |_| String::from("a rule of the zone's firewall blocks the call before Access"),
        command: |_| {
            String::from("at Cloudflare, Security > Events shows the rule that blocked it")
        },
    },
    Cause {
        name: "sent-to-login",
        fits: |case| case.reply().is_some_and(Reply::asks_for_login),
        meaning: |_| {
            String::from(
                "Access does not take the service token and shows its login: the token has expired, \
                 or no policy of Service Auth (`non_identity`) includes it; a policy of `allow` takes none",
            )
        },
        command: token_command,
    },
    Cause {
        name: "token-refused",
        fits: |case| case.is(401),
        meaning: |_| {
            String::from(
                "Access does not know the service token: it has expired, or was rotated or deleted",
            )
        },
        command: token_command,
    },
    Cause {
        name: "token-forbidden",
        fits: |case| case.is(403),
        meaning: |_| {
            String::from(
                "Access refuses the service token: no policy of Service Auth (`non_identity`) \
                 includes it, or it has expired",
            )
        },
        command: token_command,
    },
    Cause {
        name: "redirected",
        fits: |case| case.answer.status().is_some_and(|code| (300..400).contains(&code)),
        meaning: |case| {
            format!(
                "`{}` sends callers elsewhere: neither Access nor the service",
                case.way.hostname()
            )
        },
        command: |_| {
            String::from("at Cloudflare, look for a redirect rule of the zone that takes the name")
        },
    },
    Cause {
        name: "no-rule-there",
        fits: |case| case.is(404),
        meaning: |case| {
            let name = case.way.hostname();
            format!(
                "the cloudflared that took the call has no rule for `{name}`: its last one answered"
            )
        },
        command: other_connector,
    },
    Cause {
        name: "service-out-of-reach",
        fits: |case| case.is(502),
        meaning: |_| String::from("the cloudflared that took the call does not reach its service"),
        command: other_connector,
    },
    Cause {
        name: "no-tunnel",
        fits: |case| case.is(530) && case.code() != Some(1016),
        meaning: |case| {
            format!(
                "the record of `{}` leads to a tunnel that is not connected, or was deleted",
                case.way.hostname()
            )
        },
        command: record_command,
    },
    Cause {
        name: "no-such-tunnel",
        fits: |case| case.is(530),
        meaning: |case| {
            format!(
                "the record of `{}` leads to a tunnel that Cloudflare does not know, or of another account",
                case.way.hostname()
            )
        },
        command: record_command,
    },
    Cause {
        name: "not-through-a-tunnel",
        fits: |case| case.answer.status().is_some_and(|code| (520..530).contains(&code)),
        meaning: |case| {
            format!(
                "the record of `{}` leads to a machine that Cloudflare does not reach, not to a tunnel",
                case.way.hostname()
            )
        },
        command: record_command,
    },
    Cause {
        name: "rate-limited",
        fits: |case| case.is(429),
        meaning: |_| String::from("a rate limit of the zone holds the call back"),
        command: |_| String::from("wait for it, then `oceanid verify` again"),
    },
    Cause {
        name: "no-certificate",
        fits: |case| matches!(case.answer, Answer::Tls(text) if speaks_of_names(text)),
        meaning: |case| {
            format!("what answers for `{}` has no certificate for that name", case.way.hostname())
        },
        command: |_| {
            String::from(
                "Cloudflare's free certificate is for the domain and one name below it, not for \
                 `a.b.example.com`: take a shorter name, or order a certificate there",
            )
        },
    },
    Cause {
        name: "untrusted-certificate",
        fits: |case| matches!(case.answer, Answer::Tls(_)),
        meaning: |case| {
            let (name, from) = (case.way.hostname(), case.from());
            format!("the certificate of `{name}`, seen {from}, is of no CA that is trusted there")
        },
        command: |_| {
            String::from(
                "somebody in between shows one of their own: if that is your proxy, `[sources] ca` \
                 names its CA",
            )
        },
    },
    Cause {
        name: "pod-without-name",
        fits: |case| matches!((case.caller, case.answer), (Caller::Pod(_), Answer::NoName(_))),
        meaning: |case| format!("`{}` has an address here, and none in pods", case.way.hostname()),
        command: |_| {
            String::from(
                "`kubectl -n kube-system logs deploy/coredns` shows whom the cluster's DNS asks, \
                 and what it hears",
            )
        },
    },
    Cause {
        name: "no-resolver",
        fits: |case| matches!(case.answer, Answer::NoName(text) if text.contains("Temporary failure")),
        meaning: |_| String::from("the DNS of this machine does not answer"),
        command: |_| String::from("`getent ahosts example.com` shows whether it knows any name"),
    },
    Cause {
        name: "no-record",
        fits: |case| matches!(case.answer, Answer::NoName(_)),
        meaning: |case| format!("there is no DNS record for `{}`", case.way.hostname()),
        command: record_command,
    },
    Cause {
        name: "pod-shut-in",
        fits: |case| {
            let closed = matches!(case.answer, Answer::Closed(_) | Answer::Silent(_));
            closed && matches!(case.caller, Caller::Pod(_))
        },
        meaning: |case| {
            format!("{} the way out is shut, although it is open from here", case.from())
        },
        command: |case| {
            let Caller::Pod(host) = case.caller else { return String::new() };
            format!(
                "`kubectl get networkpolicy -A` shows what pods may reach; on {host}, \
                 `iptables -S FORWARD` shows what the host lets through"
            )
        },
    },
    Cause {
        name: "out-of-reach",
        fits: |case| matches!(case.answer, Answer::Closed(_) | Answer::Silent(_)),
        meaning: |case| format!("`{}` does not answer here", case.way.hostname()),
        command: |case| {
            format!("`curl -v https://{}/` shows how far this machine gets", case.way.hostname())
        },
    },
];

/// Whether it is about the name, and not about who says so.
fn speaks_of_names(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let signs = [
        "not valid for name",
        "handshakefailure",
        "handshake failure",
        "no alternative certificate",
    ];
    signs.iter().any(|sign| text.contains(sign))
}

/// What to do at Cloudflare: by us where it is ours, else `by_hand`.
fn there(case: &Case<'_>, by_hand: &str) -> String {
    if case.way.cluster.cloudflare.is_some() {
        return String::from(
            "`oceanid plan --only cloudflare` shows what is other there than cluster.toml says, and \
             `oceanid bootstrap --only cloudflare` mends it",
        );
    }
    format!("at Cloudflare, {by_hand}")
}

fn close(case: &Case<'_>) -> String {
    let (name, host) = (case.way.hostname(), &case.way.host.name);
    let guard =
        there(case, &format!("give `{name}` an Access application with a policy of Service Auth"));
    format!("on {host}, `systemctl stop cloudflared` closes it now; then {guard}")
}

fn token_command(case: &Case<'_>) -> String {
    let name = case.way.hostname();
    there(
        case,
        &format!(
            "look for the token's expiry and for a policy of Service Auth of `{name}`; a new token \
             goes where `access` of the tunnel says"
        ),
    )
}

fn record_command(case: &Case<'_>) -> String {
    let (name, host) = (case.way.hostname(), &case.way.host.name);
    there(
        case,
        &format!(
            "make `{name}` a proxied CNAME to `<tunnel>.cfargotunnel.com`, with the id of the tunnel \
             that runs on {host}"
        ),
    )
}

fn other_connector(case: &Case<'_>) -> String {
    format!(
        "on {} it would have come through: at Cloudflare, the tunnel's connectors show another \
         machine with the same credentials; stop cloudflared there",
        case.way.host.name
    )
}
