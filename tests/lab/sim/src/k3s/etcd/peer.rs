//! What the members of etcd say to each other, on 2379 and 2380.

use super::{Etcd, Member, Standing, Version};
use crate::k3s::client::{Answer, Client};
use crate::k3s::cluster::Cluster;
use crate::k3s::http::{self, Identity, Port, Request};
use crate::k3s::reply::{self, Reply};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// The port of clients, at which a member is added.
pub const CLIENTS: u16 = 2379;
/// The port of the other members.
pub const PEERS: u16 = 2380;
/// The user of a member's certificate.
pub const USER: &str = "etcd-peer";

const TICK: Duration = Duration::from_millis(400);
const LIMIT: Duration = Duration::from_secs(1);
/// How long a request may take that the leader answers.
const FORWARD: Duration = Duration::from_secs(8);

/// How many answers of the others a push waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// Those that make a majority.
    Majority,
    /// All.
    All,
}

/// Keeps the members together for ever.
pub async fn run(cluster: Arc<Cluster>) {
    let Some(etcd) = &cluster.etcd else { return };
    loop {
        // A leader that has lost its followers goes on asking for them.
        if etcd.is_leader() {
            push(&cluster, etcd, Patience::All).await;
        } else if let Some(term) = etcd.candidacy() {
            campaign(&cluster, etcd, term).await;
        }
        tokio::time::sleep(TICK).await;
    }
}

/// Gives every other member what is new; returns whether a majority has it.
async fn push(cluster: &Arc<Cluster>, etcd: &Etcd, patience: Patience) -> bool {
    let (term, _) = etcd.terms();
    let (revision, objects) = cluster.store().contents();
    let own: Version = (term, revision);
    let mut asked = JoinSet::new();
    for member in etcd.peers() {
        let mut message = json!({ "term": term, "leader": cluster.node,
            "members": etcd.members(), "revision": revision });
        if !etcd.has(&member.node, own) {
            message["objects"] = objects.clone();
        }
        let cluster = Arc::clone(cluster);
        asked.spawn(async move {
            let answer = ask(&cluster, &member, "/append", &message).await;
            (member.node, answer)
        });
    }
    while let Some(done) = asked.join_next().await {
        let Ok((node, Some(answer))) = done else { continue };
        if answer["accepted"] == true {
            let number = |key: &str| answer[key].as_u64().unwrap_or_default();
            etcd.acknowledge(&node, (number("applied"), number("revision")), own);
        } else if let Some(newer) = answer["term"].as_u64() {
            etcd.yield_to(newer);
        }
        if patience == Patience::Majority && etcd.is_kept(own) {
            break;
        }
    }
    etcd.is_kept(own)
}

async fn campaign(cluster: &Arc<Cluster>, etcd: &Etcd, term: u64) {
    let (_, applied) = etcd.terms();
    let revision = cluster.store().revision();
    let message = json!({ "term": term, "applied": applied, "revision": revision });
    let mut asked = JoinSet::new();
    for member in etcd.peers().into_iter().filter(|member| !member.learner) {
        let (cluster, message) = (Arc::clone(cluster), message.clone());
        asked.spawn(async move {
            let answer = ask(&cluster, &member, "/vote", &message).await;
            (member.node, answer.is_some_and(|answer| answer["granted"] == true))
        });
    }
    let mut votes = Vec::new();
    while let Some(done) = asked.join_next().await {
        votes.extend(done.ok().filter(|(_, granted)| *granted).map(|(node, _)| node));
    }
    if etcd.wins(&votes) {
        etcd.lead(term);
        push(cluster, etcd, Patience::All).await;
    }
}

async fn ask(cluster: &Cluster, member: &Member, path: &str, message: &Value) -> Option<Value> {
    let sent = send(cluster, member, PEERS, path, message);
    let answer = tokio::time::timeout(LIMIT, sent).await.ok()??;
    serde_json::from_slice(&answer.body).ok()
}

async fn send(
    cluster: &Cluster,
    member: &Member,
    port: u16,
    path: &str,
    message: &Value,
) -> Option<Answer> {
    let etcd = cluster.etcd.as_ref()?;
    let client = Client::new(&member.address, port, &etcd.ca, Some(&etcd.pair)).ok()?;
    let sent = client.send("POST", path, &[], message.to_string());
    tokio::time::timeout(FORWARD, sent).await.ok()?.ok()
}

/// Answers on the ports of etcd: its own members alone.
pub async fn route(cluster: &Arc<Cluster>, request: &Request, port: Port) -> Reply {
    let Some(etcd) = &cluster.etcd else { return reply::no_such_path() };
    if !matches!(&request.identity, Identity::User(name, _) if name == USER) {
        return reply::unauthorized();
    }
    let message: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    match (port, request.path.as_str()) {
        (Port::Clients, "/members") => add(cluster, etcd, &message).await,
        (Port::Peers, "/append") => Reply::json(&append(cluster, etcd, &message)),
        (Port::Peers, "/vote") => Reply::json(&vote(cluster, etcd, &message)),
        (Port::Peers, "/forward") => forwarded(cluster, request.peer, &message).await,
        _ => reply::no_such_path(),
    }
}

async fn add(cluster: &Arc<Cluster>, etcd: &Etcd, message: &Value) -> Reply {
    if let Standing::Follower(leader) = etcd.standing() {
        let answer = send(cluster, &leader, CLIENTS, "/members", message).await;
        return answer
            .map_or_else(timed_out, |answer| Reply::text(answer.code, answer.body.to_vec()));
    }
    let Ok(member) = serde_json::from_value::<Member>(message.clone()) else {
        return reply::bad_request("no member");
    };
    crate::log::info(format!("etcd: adding member {} as learner", member.name));
    match etcd.add(member) {
        Ok(()) => Reply::json(&json!({ "members": etcd.members(), "term": etcd.terms().0 })),
        Err(why) => Reply::with_code(StatusCode::SERVICE_UNAVAILABLE, &json!({ "message": why })),
    }
}

fn append(cluster: &Cluster, etcd: &Etcd, message: &Value) -> Value {
    let number = |key: &str| message[key].as_u64().unwrap_or_default();
    let term = number("term");
    let leader = message["leader"].as_str().unwrap_or_default();
    let members = serde_json::from_value(message["members"].clone()).unwrap_or_default();
    if !etcd.follow(leader, term, members) {
        return json!({ "accepted": false, "term": etcd.terms().0 });
    }
    let mut store = cluster.store();
    if let Some(objects) = message.get("objects") {
        let own = (etcd.terms().1, store.revision());
        if (term, number("revision")) > own {
            store.adopt(number("revision"), objects);
            etcd.applied(term);
        }
    }
    json!({ "accepted": true, "applied": etcd.terms().1, "revision": store.revision() })
}

fn vote(cluster: &Cluster, etcd: &Etcd, message: &Value) -> Value {
    let number = |key: &str| message[key].as_u64().unwrap_or_default();
    let own = (etcd.terms().1, cluster.store().revision());
    let theirs = (number("applied"), number("revision"));
    json!({ "granted": etcd.vote(number("term"), theirs, own) })
}

/// Answers a request through the leader; none where it is to be answered here.
pub async fn elsewhere(cluster: &Arc<Cluster>, request: &Request, port: Port) -> Option<Reply> {
    let etcd = cluster.etcd.as_ref()?;
    let here = ["/ping", "/cacerts", "/readyz", "/livez", "/healthz", "/version"];
    let known = matches!(request.identity, Identity::User(..)) || request.has_credentials();
    let watches = matches!(request.parameter("watch"), "true" | "1");
    if !known || here.contains(&request.path.trim_end_matches('/')) {
        return None;
    }
    match etcd.standing() {
        Standing::Leader => None,
        Standing::Follower(_) if watches => None,
        Standing::Follower(leader) => {
            let message = packed(request, port);
            let answer = send(cluster, &leader, PEERS, "/forward", &message).await;
            let answer: Option<Value> =
                answer.and_then(|answer| serde_json::from_slice(&answer.body).ok());
            Some(answer.as_ref().and_then(unpacked).unwrap_or_else(timed_out))
        }
        Standing::Lost => Some(timed_out()),
    }
}

/// Waits until a majority has what a request changed.
pub async fn commit(cluster: &Arc<Cluster>, request: &Request) -> Option<Reply> {
    let etcd = cluster.etcd.as_ref()?;
    if request.method == Method::GET || etcd.members().len() == 1 {
        return None;
    }
    for _ in 0..3 {
        if push(cluster, etcd, Patience::Majority).await {
            return None;
        }
    }
    Some(timed_out())
}

fn timed_out() -> Reply {
    let code = StatusCode::INTERNAL_SERVER_ERROR;
    reply::status(code, "InternalError", "etcdserver: request timed out", &Value::Null)
}

fn packed(request: &Request, port: Port) -> Value {
    let headers: Vec<(&str, &str)> = request
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    let body = String::from_utf8_lossy(&request.body);
    let user = match &request.identity {
        Identity::User(name, groups) => json!([name, groups]),
        _ => Value::Null,
    };
    json!({ "method": request.method.as_str(), "path": request.path, "query": request.query,
        "headers": headers, "body": body, "user": user, "public": port == Port::Public })
}

async fn forwarded(cluster: &Arc<Cluster>, peer: std::net::SocketAddr, message: &Value) -> Reply {
    let Some((request, port)) = opened(peer, message) else {
        return reply::bad_request("no request");
    };
    let done = Box::pin(http::decide(cluster, &request, port)).await;
    let body = String::from_utf8_lossy(&done.body);
    Reply::json(&json!({ "code": done.code.as_u16(), "kind": done.kind, "body": body }))
}

fn opened(peer: std::net::SocketAddr, message: &Value) -> Option<(Request, Port)> {
    let text = |key: &str| message[key].as_str().unwrap_or_default();
    let mut headers = hyper::HeaderMap::new();
    let listed: Vec<(String, String)> = serde_json::from_value(message["headers"].clone()).ok()?;
    for (name, value) in listed {
        let name = hyper::header::HeaderName::from_bytes(name.as_bytes()).ok()?;
        headers.append(name, value.parse().ok()?);
    }
    let user: Option<(String, Vec<String>)> =
        serde_json::from_value(message["user"].clone()).ok()?;
    let request = Request {
        method: text("method").parse().ok()?,
        path: text("path").to_owned(),
        query: serde_json::from_value(message["query"].clone()).ok()?,
        headers,
        body: text("body").to_owned().into(),
        identity: user.map_or(Identity::Anonymous, |(name, groups)| Identity::User(name, groups)),
        peer,
    };
    Some((request, if message["public"] == true { Port::Public } else { Port::Local }))
}

fn unpacked(answer: &Value) -> Option<Reply> {
    let code = StatusCode::from_u16(u16::try_from(answer["code"].as_u64()?).ok()?).ok()?;
    let plain = Reply::text(code, answer["body"].as_str()?);
    let kinds = ["application/json", "text/plain"];
    let kind = kinds.into_iter().find(|kind| answer["kind"] == *kind).unwrap_or(plain.kind);
    Some(Reply { kind, ..plain })
}
