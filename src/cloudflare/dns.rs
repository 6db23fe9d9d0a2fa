//! Names: a proxied CNAME leads each to its tunnel.

use reqwest::Method;
use serde_json::json;

use super::api::Request;
use super::area::Area;
use super::deed::{Call, Deed, difference, differing};
use super::plan::Plan;
use super::seen::{Record, Seen};
use super::wanted::{Wanted, Way};

/// Kinds of records of which a name has one alone.
const HOSTS: [&str; 3] = ["A", "AAAA", "CNAME"];

/// Adds what is to change.
pub fn plan(wanted: &Wanted<'_>, seen: &Seen, plan: &mut Plan) {
    for way in &wanted.ways {
        name(wanted, way, seen, plan);
    }
    for left in leftovers(wanted, seen) {
        plan.notes.push(format!(
            "{} `{}` carries the comment `{}`, but cluster.toml does not name it; \
             `oceanid remove cloudflare --leftovers` removes it",
            left.kind, left.name, wanted.tag
        ));
    }
}

/// Records with our tag that no tunnel of cluster.toml has.
pub fn leftovers<'s>(wanted: &Wanted<'_>, seen: &'s Seen) -> impl Iterator<Item = &'s Record> {
    let names: Vec<String> = wanted.hostnames().map(str::to_owned).collect();
    let tag = wanted.tag.clone();
    seen.records.iter().filter(move |record| has_tag(record, &tag) && !names.contains(&record.name))
}

/// Whether a record says that it is ours.
pub fn has_tag(record: &Record, tag: &str) -> bool {
    record.comment.as_deref() == Some(tag)
}

fn name(wanted: &Wanted<'_>, way: &Way<'_>, seen: &Seen, plan: &mut Plan) {
    let hostname = way.tunnel.hostname.as_str();
    let subject = format!("CNAME {hostname}");
    let tunnel = seen.tunnels.get(&way.name).map(|tunnel| tunnel.id.as_str());
    let content = format!("{}.cfargotunnel.com", tunnel.unwrap_or("(known after apply)"));
    let body = json!({
        "type": "CNAME", "name": hostname, "content": content, "proxied": true, "ttl": 1,
        "comment": wanted.tag,
    });
    let mut own = None;
    let hosts = seen
        .records
        .iter()
        .filter(|record| record.name == hostname && HOSTS.contains(&record.kind.as_str()));
    for record in hosts {
        if has_tag(record, &wanted.tag) {
            own = Some(record);
        } else {
            plan.foreign.push(format!("{} record {hostname} to {}", record.kind, record.content));
        }
    }
    let area = Area::Dns;
    let path = format!("/zones/{}/dns_records", seen.zone.id);
    let mut deed = match own {
        None => Deed::create(area, subject, &path, body),
        Some(record) => {
            let live = json!({
                "type": record.kind, "name": record.name, "content": record.content,
                "proxied": record.proxied, "ttl": 1, "comment": record.comment,
            });
            let fields = differing(&live, &body);
            if fields.is_empty() {
                return;
            }
            let summary = format!("change {}", fields.join(", "));
            let diff = Some(difference(&live, &body));
            let path = format!("{path}/{}", record.id);
            let call = Call::Send(Request::new(area, Method::PATCH, path, Some(body)));
            Deed { subject, summary, diff, area, call }
        }
    };
    if tunnel.is_none() {
        deed.call = Call::Later;
    }
    plan.deeds.push(deed);
}
