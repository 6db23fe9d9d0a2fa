//! `oceanid tunnel`: a port of this machine that leads to the API, over SSH.

use std::sync::Arc;

use anyhow::bail;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::context::Context;
use super::server::{Server, enter};
use super::{print, say};
use crate::remote::AnyRemote;
use crate::report::Exit;
use crate::tunnel::{self, News, Tell, Tunnel, Way};

/// Serves until Ctrl-C; without a server that lets us in it does not begin.
pub async fn run(context: &Context, port: Option<u16>) -> anyhow::Result<Exit> {
    let port = port.unwrap_or_else(|| tunnel::port(&context.cluster.name));
    let listener = tunnel::listen(port).await?;
    let port = listener.local_addr()?.port();
    let dialer = context.dialer()?;
    let Server { index, host, remote } = match enter(context, &dialer).await {
        Ok(server) => server,
        Err(exit) => return Ok(exit),
    };
    let AnyRemote::Ssh(connection) = remote else {
        bail!("`{}` is this machine: no tunnel is needed", host.name);
    };
    let (connector, way) = (dialer.connector, Way { index, connection: *connection });
    let servers = context.cluster.servers().cloned().collect();
    let tell = teller(port, context.json);
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        () = Tunnel { connector, servers, tell }.run(listener, way) => {}
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    if context.json {
        print(&event("tunnel-ended", port, &json!({})))?;
    } else {
        say("the tunnel is closed");
    }
    Ok(Exit::Done)
}

fn teller(port: u16, json: bool) -> Arc<Tell> {
    Arc::new(move |news| {
        if json {
            let (name, host, reason) = match &news {
                News::Open(host) => ("tunnel-open", host, None),
                News::Lost(host, reason) => ("tunnel-lost", host, Some(reason)),
                News::Waiting(host, reason) => ("tunnel-waiting", host, Some(reason)),
                News::Closed(host, reason) => ("tunnel-refused", host, Some(reason)),
            };
            // A reader that went away does not end the tunnel.
            drop(print(&event(name, port, &json!({ "host": host, "reason": reason }))));
            return;
        }
        say(&match news {
            News::Open(host) => {
                format!("https://127.0.0.1:{port} leads to the API on {host}; Ctrl-C ends it")
            }
            News::Lost(host, reason) => format!("the connection to {host} is lost: {reason}"),
            News::Waiting(host, reason) => format!("{host} does not let us in yet: {reason}"),
            News::Closed(host, reason) => format!("{host} does not let us through: {reason}"),
        });
    })
}

fn event(name: &str, port: u16, further: &Value) -> String {
    let time = Timestamp::now().strftime("%FT%T.%3fZ").to_string();
    let mut line = json!({ "schema": 1, "time": time, "event": name, "port": port });
    let further = further.as_object().into_iter().flatten();
    for (key, value) in further.filter(|(_, value)| !value.is_null()) {
        line[key] = value.clone();
    }
    format!("{line}\n")
}
