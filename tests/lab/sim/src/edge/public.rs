//! The public side: from a name to an answer.

use super::access;
use super::connectors::Edge;
use crate::web::{self, Body, plain};
use hyper::body::Incoming;
use hyper::{Request, Response};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Answers for ever.
pub async fn accept(edge: Arc<Edge>, listener: TcpListener, tls: TlsAcceptor) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (edge, tls) = (Arc::clone(&edge), tls.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            web::serve(stream, move |request| {
                let edge = Arc::clone(&edge);
                async move { answer(&edge, request).await }
            })
            .await;
        });
    }
}

async fn answer(edge: &Edge, mut request: Request<Incoming>) -> Response<Body> {
    let host = web::host(&request);
    let state = edge.state().await;
    // Its name would not lead here at all.
    let Some(record) = state.record(&host) else { return plain(404, "error code: 1016\n") };
    if let Some(refused) = access::judge(&state, &host, &mut request) {
        return refused;
    }
    let tunnel = record.content.strip_suffix(".cfargotunnel.com").unwrap_or_default();
    let known = record.kind == "CNAME" && state.tunnel(tunnel).is_some();
    let stream = if known { edge.open(tunnel).await } else { None };
    let Some(stream) = stream else { return plain(530, "error code: 1033\n") };
    match web::ask(stream, request).await {
        Ok(response) => response,
        Err(_) => plain(502, "error code: 502\n"),
    }
}
