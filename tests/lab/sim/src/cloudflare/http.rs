//! The listener: plain HTTP on loopback, one request after the other.

use super::faults::{self, Fault, Faults};
use super::reply::{Outcome, Refusal, envelope};
use super::state::State;
use super::{Request, route};
use crate::k3s::query;
use anyhow::Context;
use http_body_util::{BodyExt, Full};
use hyper::Response;
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

/// Everything that requests have in common.
struct Shared {
    inner: Mutex<(State, Faults)>,
    log: PathBuf,
}

/// Serves for ever.
///
/// # Errors
/// When the state cannot be read, or nothing can be listened to.
pub fn serve(state: &Path, log: &Path, address: &str) -> anyhow::Result<()> {
    let inner = Mutex::new((State::read(state)?, Faults::default()));
    let shared = Arc::new(Shared { inner, log: log.to_owned() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await.context(address.to_owned())?;
        crate::log::out(format!("http://{}/client/v4", listener.local_addr()?));
        loop {
            let (stream, _) = listener.accept().await?;
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |request| {
                    let shared = Arc::clone(&shared);
                    async move { answer(&shared, request).await }
                });
                let io = hyper_util::rt::TokioIo::new(stream);
                // A client that goes away in the middle is its own affair.
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
            });
        }
    })
}

async fn answer(
    shared: &Shared,
    request: hyper::Request<Incoming>,
) -> anyhow::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let bytes = body.collect().await?.to_bytes();
    let bearer = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let body = match &bytes[..] {
        [] => Ok(Value::Null),
        bytes => serde_json::from_slice(bytes),
    };
    let path = head.uri.path().trim_start_matches('/');
    let (lab, below) = match (path.strip_prefix("client/v4/"), path.strip_prefix("_lab/")) {
        (Some(below), _) => (false, below),
        (_, Some(below)) => (true, below),
        _ => (false, path),
    };
    let request = Request {
        method: head.method.to_string(),
        path: below.split('/').map(crate::k3s::decode).collect(),
        query: query(head.uri.query().unwrap_or_default()),
        body: body.as_ref().cloned().unwrap_or_default(),
    };
    let outcome = match body {
        Err(_) => Err(Refusal::new(400, 6003, "the request body is no JSON")),
        Ok(_) if lab => {
            let mut inner = shared.inner.lock().unwrap_or_else(PoisonError::into_inner);
            let (state, faults) = &mut *inner;
            let outcome = faults::route(state, faults, &request);
            state.write()?;
            outcome
        }
        Ok(_) => shared.decide(&request, bearer)?,
    };
    let retry = outcome.as_ref().err().and_then(|refusal| refusal.retry_after);
    let (status, envelope) = envelope(&outcome);
    let mut response = Response::builder().status(status).header(CONTENT_TYPE, "application/json");
    if let Some(seconds) = retry {
        response = response.header(RETRY_AFTER, seconds);
    }
    Ok(response.body(Full::new(Bytes::from(envelope.to_string())))?)
}

impl Shared {
    fn decide(&self, request: &Request, bearer: &str) -> anyhow::Result<Outcome> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (state, faults) = &mut *inner;
        let fault = faults.met(request);
        let outcome = match fault {
            Some(Fault::Before(refusal)) => Err(refusal),
            Some(Fault::After(refusal)) => {
                // Whatever it came to, the answer is lost.
                let _ = route(state, request, bearer);
                Err(refusal)
            }
            None => route(state, request, bearer),
        };
        let status = envelope(&outcome).0;
        self.note(request, status)?;
        if request.method != "GET" {
            state.write()?;
        }
        Ok(outcome)
    }

    /// Adds a line to the log: never who asked, nor a tunnel's secret.
    fn note(&self, request: &Request, status: u16) -> anyhow::Result<()> {
        let mut body = request.body.clone();
        if let Some(secret) = body.get_mut("tunnel_secret") {
            *secret = json!("********");
        }
        let line = json!({
            "method": request.method, "path": request.path.join("/"),
            "query": request.query.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&"),
            "body": body, "status": status,
        });
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        Ok(writeln!(file, "{line}")?)
    }
}
