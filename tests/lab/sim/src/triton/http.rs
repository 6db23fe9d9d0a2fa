//! Triton's HTTP API, and its metrics.

use super::models::{Control, Repository, State};
use crate::web::{self, Body};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use serde_json::json;
use std::future::Future;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

type Answer = Response<Body>;

/// Serves the API for ever.
pub async fn serve(listener: TcpListener, repository: Arc<Mutex<Repository>>) {
    accept(listener, move |request| {
        let repository = Arc::clone(&repository);
        async move { answer(&request, &mut *repository.lock().await).await }
    })
    .await;
}

/// Serves the metrics for ever: those of a GPU are there while Triton sees one.
pub async fn serve_metrics(listener: TcpListener) {
    accept(listener, |request: Request<Incoming>| async move {
        if request.uri().path() != "/metrics" {
            return web::plain(404, "");
        }
        let mut lines = String::from("# TYPE nv_inference_request_success counter\n");
        if super::has_gpu() {
            lines += "# TYPE nv_gpu_memory_total_bytes gauge\n\
                      nv_gpu_memory_total_bytes{gpu_uuid=\"GPU-11111111-2222-3333-4444-555555555555\"} 25757220864.000000\n";
        }
        web::plain(200, &lines)
    })
    .await;
}

async fn accept<F, A>(listener: TcpListener, answer: F)
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(web::serve(stream, answer.clone()));
        }
    }
}

async fn answer(request: &Request<Incoming>, repository: &mut Repository) -> Answer {
    let path: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
    let empty = |good: bool| web::plain(if good { 200 } else { 400 }, "");
    match (request.method(), path.as_slice()) {
        (&Method::GET, ["v2", "health", "live"]) => empty(true),
        (&Method::GET, ["v2", "health", "ready"]) => {
            empty(repository.models.values().all(|state| *state == State::Ready))
        }
        (&Method::GET, ["v2"]) => web::json(
            200,
            &json!({ "name": "triton", "version": "2.71.0", "extensions": ["model_repository"] }),
        ),
        (&Method::GET, ["v2", "models", name, "ready"]) => {
            empty(repository.models.get(*name) == Some(&State::Ready))
        }
        (&Method::POST, ["v2", "repository", "index"]) => {
            let all = repository.models.iter().map(|(name, state)| match state {
                State::Ready => json!({ "name": name, "version": "1", "state": "READY" }),
                State::Unavailable(why) => {
                    json!({ "name": name, "version": "1", "state": "UNAVAILABLE", "reason": why })
                }
            });
            web::json(200, &all.collect())
        }
        (&Method::POST, ["v2", "repository", "models", name, verb @ ("load" | "unload")]) => {
            if repository.control != Control::Explicit {
                let why = "explicit model load / unload is not allowed if polling is enabled";
                return web::json(400, &json!({ "error": why }));
            }
            if *verb == "unload" {
                repository.models.remove(*name);
            } else {
                repository.load(name, super::has_gpu()).await;
            }
            empty(true)
        }
        _ => web::json(404, &json!({ "error": "Not Found" })),
    }
}
