//! The metrics server: `/ready`, `/healthcheck`, `/metrics`, `/config`.

use super::connector::Tunnel;
use crate::web::{self, Body, json, plain};
use hyper::Response;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::net::TcpListener;

/// Answers for ever.
pub async fn serve(tunnel: Arc<Tunnel>, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let tunnel = Arc::clone(&tunnel);
        tokio::spawn(web::serve(stream, move |request| {
            let tunnel = Arc::clone(&tunnel);
            async move { answer(&tunnel, request.uri().path()) }
        }));
    }
}

fn answer(tunnel: &Tunnel, path: &str) -> Response<Body> {
    let ready = tunnel.ready();
    match path {
        "/ready" => {
            let status = if ready > 0 { 200 } else { 503 };
            json(
                status,
                &json!({ "status": status, "readyConnections": ready, "connectorId": tunnel.id }),
            )
        }
        "/healthcheck" => plain(200, "OK\n"),
        "/config" => {
            let (version, rules) = tunnel.rules();
            let rules: Vec<_> = rules
                .iter()
                .map(|rule| json!({ "hostname": rule.hostname, "path": rule.path, "service": rule.service }))
                .collect();
            json(200, &json!({ "version": version, "config": { "ingress": rules } }))
        }
        "/metrics" => plain(
            200,
            &format!(
                "build_info{{version=\"{}\"}} 1\ncloudflared_tunnel_ha_connections {ready}\ncloudflared_tunnel_total_requests {}\n",
                super::version(),
                tunnel.requests.load(Ordering::Relaxed)
            ),
        ),
        _ => plain(404, "404 page not found\n"),
    }
}
