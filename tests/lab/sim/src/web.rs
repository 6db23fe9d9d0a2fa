//! HTTP/1 as a server and as a client, bodies streamed.

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::convert::Infallible;
use std::future::Future;
use tokio::io::{AsyncRead, AsyncWrite};

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// Answers the requests on `stream` until it ends.
pub async fn serve<S, A, F>(stream: S, answer: A)
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Body>>,
{
    let service = hyper::service::service_fn(|request| {
        let answered = answer(request);
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let connection = hyper::server::conn::http1::Builder::new();
    // A client that goes away in the middle is its own affair.
    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
}

/// Asks a server on `stream`.
///
/// # Errors
/// It does not answer, or not in HTTP.
pub async fn ask<S>(stream: S, request: Request<Incoming>) -> Result<Response<Body>, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?.map(BodyExt::boxed_unsync))
}

/// Returns the name that a request is for, without a port.
pub fn host(request: &Request<Incoming>) -> String {
    let header = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    let host = header.or_else(|| request.uri().host()).unwrap_or_default();
    host.split(':').next().unwrap_or_default().to_lowercase()
}

/// Makes an answer of plain text.
pub fn plain(code: u16, text: &str) -> Response<Body> {
    with_type(code, "text/plain; charset=utf-8", text)
}

/// Makes an answer of JSON.
pub fn json(code: u16, value: &Value) -> Response<Body> {
    with_type(code, "application/json", &value.to_string())
}

fn with_type(code: u16, kind: &'static str, text: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(text.to_owned())).map_err(|never| match never {});
    let built = Response::builder().status(code).header(CONTENT_TYPE, kind);
    built.body(body.boxed_unsync()).unwrap_or_else(|_| Response::new(empty()))
}

fn empty() -> Body {
    Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync()
}
