//! What each hop's answer comes to.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

use super::answer::Answer;
use super::causes::{self, Caller, Case};
use super::node::Seen;
use super::public::Call;
use super::service::{Service, same};
use super::{Verdict, Way, inside};
use crate::cluster::Access;

/// The service, on its node.
pub fn service(way: Way<'_>, seen: &Seen) -> Verdict {
    let (url, host, answer) = (way.service(), &way.host.name, seen.service());
    match (Service::of(way), answer.status()) {
        (Service::Itself(_), _) => Verdict::Holds(format!("cloudflared itself, with {url}")),
        (Service::Foreign, _) => Verdict::Unknown(format!("{url} is not HTTP")),
        (Service::Triton, Some(200)) => Verdict::Holds(format!("ready at {url} on {host}")),
        (Service::Web(_) | Service::Socket(_), Some(status)) => {
            Verdict::Holds(format!("{status} at {url} on {host}"))
        }
        _ => Verdict::Broken(inside::service(way, seen, &answer)),
    }
}

/// What cloudflared leads the name to.
pub fn cloudflared(way: Way<'_>, seen: &Seen) -> Verdict {
    let Some(ingress) = seen.ingress() else { return untold(way, seen, "cloudflared") };
    match ingress.rule(way.name()) {
        Some(rule) if same(&rule.service, &way.service()) => {
            Verdict::Holds(match ingress.version {
                ..0 => String::from("leads to it"),
                version => format!("leads to it, by version {version} of Cloudflare's settings"),
            })
        }
        Some(rule) if !rule.is_last_resort() => {
            Verdict::Broken(inside::other_service(way, &ingress, &rule.service))
        }
        _ => Verdict::Broken(inside::no_rule(way, &ingress)),
    }
}

/// How cloudflared is connected.
pub fn edge(way: Way<'_>, seen: &Seen) -> Verdict {
    match seen.connections() {
        None => untold(way, seen, "edge"),
        Some(0) => Verdict::Broken(inside::no_edge(way, seen)),
        Some(1) => Verdict::Holds(String::from("1 connection")),
        Some(count) => Verdict::Holds(format!("{count} connections")),
    }
}

/// cloudflared says nothing of itself that we can read.
fn untold(way: Way<'_>, seen: &Seen, name: &str) -> Verdict {
    match seen.answer(name) {
        Answer::Http(reply) => Verdict::Unknown(format!("it answers {}", reply.said())),
        answer => Verdict::Broken(inside::down(way, seen, name, &answer)),
    }
}

/// The addresses of the name.
pub fn dns(way: Way<'_>, addresses: Result<Vec<IpAddr>, Answer>) -> Verdict {
    let addresses = match addresses {
        Ok(addresses) => addresses,
        Err(answer) => {
            return Verdict::Broken(causes::find(&Case::new(way, Caller::Here, &answer)));
        }
    };
    let [first, ..] = addresses.as_slice() else {
        return Verdict::Unknown(String::from("a proxy looks the name up"));
    };
    Verdict::Holds(match addresses.len() {
        1 => first.to_string(),
        more => format!("{first} and {} more", more - 1),
    })
}

/// A call without credentials.
pub fn stranger(way: Way<'_>, seen: &Seen, call: &Call) -> Verdict {
    if matches!(way.tunnel.access, Access::Open) {
        return comes_in(way, seen, call);
    }
    match &call.answer {
        Answer::Http(reply) if reply.asks_for_login() => {
            Verdict::Holds(format!("{} to the login of Access", reply.status))
        }
        Answer::Http(reply) if [401, 403].contains(&reply.status) => Verdict::Holds(reply.said()),
        answer => Verdict::Broken(causes::find(&Case::new(way, Caller::Here, answer))),
    }
}

/// A call that should come in, from here.
pub fn comes_in(way: Way<'_>, seen: &Seen, call: &Call) -> Verdict {
    let caller = match way.tunnel.access {
        Access::Open => Caller::Here,
        Access::Protected(_) => Caller::Token,
    };
    let verdict = called(way, seen, caller, &call.answer);
    let (Verdict::Holds(text), Some(answer)) = (&verdict, &call.models) else { return verdict };
    match models(answer) {
        Some(models) => Verdict::Holds(format!("{text}, {models}")),
        None => Verdict::Broken(causes::no_models(way, answer)),
    }
}

/// A call that should come in, from anywhere.
pub fn called(way: Way<'_>, seen: &Seen, caller: Caller<'_>, answer: &Answer) -> Verdict {
    let service = Service::of(way);
    if service == Service::Foreign {
        return Verdict::Unknown(format!("{} is not HTTP", way.service()));
    }
    let fits = |status| match service {
        Service::Triton | Service::Foreign => status == 200,
        Service::Itself(code) => status == code,
        // What it says on its own node is right for it, whatever that is.
        Service::Web(_) | Service::Socket(_) => {
            (200..300).contains(&status) || seen.service().status() == Some(status)
        }
    };
    match answer.status() {
        Some(status) if fits(status) => Verdict::Holds(match caller {
            Caller::Pod(host) => format!("{status}, on {host}"),
            Caller::Here | Caller::Token => status.to_string(),
        }),
        _ => Verdict::Broken(causes::find(&Case::new(way, caller, answer))),
    }
}

/// How many models there are; `None` for what is no list of them.
fn models(answer: &Answer) -> Option<String> {
    #[derive(Deserialize)]
    struct Model {
        name: String,
        #[serde(default)]
        state: String,
    }
    let Answer::Http(reply) = answer else { return None };
    let listed: Vec<Model> =
        serde_json::from_str(&reply.body).ok().filter(|_| reply.status == 200)?;
    let mut ready: BTreeMap<&str, bool> = BTreeMap::new();
    for model in &listed {
        // One line for each version.
        *ready.entry(&model.name).or_default() |= model.state == "READY";
    }
    let (all, up) = (ready.len(), ready.values().filter(|up| **up).count());
    Some(match all {
        0 => String::from("no models"),
        _ if up < all => format!("{up} of {all} models ready"),
        1 => String::from("1 model"),
        _ => format!("{all} models"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::answer::Reply;

    #[test]
    fn a_model_counts_once_and_is_ready_if_one_of_its_versions_is() {
        let count = |body: &str| {
            models(&Answer::Http(Reply { status: 200, body: body.to_owned(), ..Reply::default() }))
        };
        let both = r#"[{"name":"ner","version":"1","state":"UNAVAILABLE","reason":"unloaded"},
            {"name":"ner","version":"2","state":"READY"},{"name":"docling","version":"1","state":"READY"}]"#;
        assert_eq!(count(both).as_deref(), Some("2 models"));
        let one = r#"[{"name":"ner","state":"READY"},{"name":"docling"}]"#;
        assert_eq!(count(one).as_deref(), Some("1 of 2 models ready"));
        assert_eq!(count("[]").as_deref(), Some("no models"));
        assert_eq!(count("{}"), None);
        assert_eq!(count("<html>"), None);
    }
}
