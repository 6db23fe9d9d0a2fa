//! Watches: the changes to a collection, as they happen.

use super::api::Target;
use super::cluster::Cluster;
use super::http::Request;
use super::reply::Reply;
use super::{select, table};
use hyper::StatusCode;
use hyper::body::{Body, Bytes, Frame};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// What is watched.
#[derive(Debug, Clone)]
pub struct Watch {
    target: Target,
    labels: String,
    fields: String,
    as_table: bool,
    from_now: bool,
}

/// Begins the answer to a watch.
pub fn begin(request: &Request, target: &Target) -> Reply {
    let watch = Watch {
        target: target.clone(),
        labels: request.parameter("labelSelector").to_owned(),
        fields: request.parameter("fieldSelector").to_owned(),
        as_table: request.header(hyper::header::ACCEPT).contains("as=Table"),
        from_now: !matches!(request.parameter("resourceVersion"), "" | "0"),
    };
    let reply = Reply::text(StatusCode::OK, Vec::new());
    Reply { kind: "application/json", watch: Some(watch), ..reply }
}

/// Follows a watch for as long as the client listens.
pub fn stream(cluster: &Arc<Cluster>, watch: Watch) -> Events {
    let (sender, receiver) = channel(16);
    tokio::spawn(follow(Arc::clone(cluster), watch, sender));
    Events(receiver)
}

/// The body of a watch: one JSON object a line.
#[derive(Debug)]
pub struct Events(Receiver<Bytes>);

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

async fn follow(cluster: Arc<Cluster>, watch: Watch, sender: Sender<Bytes>) {
    let mut seen = if watch.from_now { snapshot(&cluster, &watch) } else { BTreeMap::new() };
    loop {
        let now = snapshot(&cluster, &watch);
        for line in changes(&watch, &seen, &now) {
            if sender.send(Bytes::from(line)).await.is_err() {
                return;
            }
        }
        seen = now;
        tokio::select! {
            () = sender.closed() => return,
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
    }
}

fn snapshot(cluster: &Cluster, watch: &Watch) -> BTreeMap<String, Value> {
    let store = cluster.store();
    let found = store.list(&watch.target.resource, &watch.target.namespace).into_iter();
    found
        .filter(|object| select::labels(&watch.labels, object))
        .filter(|object| select::fields(&watch.fields, object))
        .map(|object| (object["metadata"]["uid"].to_string(), object.clone()))
        .collect()
}

fn changes(
    watch: &Watch,
    before: &BTreeMap<String, Value>,
    now: &BTreeMap<String, Value>,
) -> Vec<String> {
    let line = |kind: &str, object: &Value| {
        let shown = if watch.as_table {
            table::of(&watch.target.resource, &[object], 0)
        } else {
            object.clone()
        };
        format!("{}\n", json!({ "type": kind, "object": shown }))
    };
    let gone = before.iter().filter(|(uid, _)| !now.contains_key(*uid));
    let mut lines: Vec<String> = gone.map(|(_, object)| line("DELETED", object)).collect();
    for (uid, object) in now {
        match before.get(uid) {
            None => lines.push(line("ADDED", object)),
            Some(old) if old != object => lines.push(line("MODIFIED", object)),
            Some(_) => {}
        }
    }
    lines
}
