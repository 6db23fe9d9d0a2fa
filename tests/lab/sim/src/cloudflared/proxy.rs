//! Requests that the edge hands over, and the services that answer them.

use super::connector::Tunnel;
use super::{ingress, log};
use crate::web::{self, Body, plain};
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response};
use std::sync::Arc;
use tokio::net::TcpStream;

/// Answers the requests on `stream` until it ends.
pub async fn serve(tunnel: &Arc<Tunnel>, stream: TcpStream) {
    let tunnel = Arc::clone(tunnel);
    web::serve(stream, move |request| {
        let tunnel = Arc::clone(&tunnel);
        async move { answer(&tunnel, request).await }
    })
    .await;
}

async fn answer(tunnel: &Tunnel, mut request: Request<Incoming>) -> Response<Body> {
    let (_, rules) = tunnel.rules();
    let host = web::host(&request);
    let at = ingress::find(&rules, &host, request.uri().path());
    let Some(rule) = rules.get(at) else { return plain(503, "") };
    if let Some(code) = rule.service.strip_prefix("http_status:") {
        return plain(code.parse().unwrap_or(404), "");
    }
    if rule.service.starts_with("hello") {
        return plain(200, "Congrats! You created a tunnel!");
    }
    let Some(origin) = rule.service.strip_prefix("http://") else {
        return plain(502, "this stand-in speaks to origins over http:// alone\n");
    };
    let origin = if origin.contains(':') { origin.to_owned() } else { format!("{origin}:80") };
    if let Some(value) = rule.host_header.as_ref().and_then(|text| HeaderValue::from_str(text).ok())
    {
        request.headers_mut().insert(HOST, value);
    }
    let why = match TcpStream::connect(&origin).await {
        Ok(stream) => match web::ask(stream, request).await {
            Ok(response) => return response,
            Err(error) => error.to_string(),
        },
        Err(error) => {
            let text = error.to_string().to_lowercase();
            let text = text.split(" (os error").next().unwrap_or_default().to_owned();
            format!("dial tcp {origin}: connect: {text}")
        }
    };
    log::error(format!(
        "error=\"Unable to reach the origin service. The service may be down or it may not be responding to traffic from cloudflared: {why}\" connIndex=0 event=1 ingressRule={at} originService={}",
        rule.service
    ));
    plain(502, "<html><head><title>502 Bad Gateway</title></head></html>\n")
}
