//! A pod that answers every request with the name of its node.

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use std::convert::Infallible;
use tokio::net::TcpListener;

/// Serves on port 8080.
pub async fn serve(node: &str) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", 8080)).await?;
    let body = Bytes::from(format!("{node}\n"));
    loop {
        let (stream, _) = listener.accept().await?;
        let body = body.clone();
        let service = hyper::service::service_fn(move |_| {
            let body = body.clone();
            async move { Ok::<_, Infallible>(Response::new(Full::new(body))) }
        });
        let io = hyper_util::rt::TokioIo::new(stream);
        tokio::spawn(async move {
            // A client that goes away in the middle is its own affair.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
        });
    }
}
