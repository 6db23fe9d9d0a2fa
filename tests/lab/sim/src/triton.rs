//! Stands in for `tritonserver` of release 26.07, as far as an operator sees it.

mod arguments;
mod config;
mod http;
mod models;

use crate::log;
use arguments::Arguments;
use jiff::Timestamp;
use models::{Control, Repository};
use std::fmt::Display;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Loads the models, serves, and ends at SIGTERM.
pub fn main(words: &[String]) -> ExitCode {
    let arguments = match Arguments::read(words) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            log::plain(wrong);
            return ExitCode::from(1);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(arguments)))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::plain(format!("error: creating server: {error}"));
            ExitCode::from(1)
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let gpu = has_gpu();
    if gpu {
        say('I', "metrics.cc:890", "Collecting metrics for GPU 0: NVIDIA GeForce RTX 4090");
    } else {
        say('E', "metrics.cc:917", "DCGM unable to start: DCGM initialization error");
        say('W', "cuda_memory_manager.cc:89", "no CUDA-capable device is detected");
    }
    let mut repository = Repository::open(&arguments)?;
    let failed = repository.load_first(&arguments, gpu).await;
    if failed && arguments.exit_on_error {
        anyhow::bail!("Internal - failed to load all models");
    }
    let crash = repository.crash();
    let repository = Arc::new(tokio::sync::Mutex::new(repository));
    let all = [
        ("GRPCInferenceService", arguments.grpc),
        ("HTTPService", arguments.http),
        ("Metrics Service", arguments.metrics),
    ];
    let mut listeners = Vec::new();
    for (name, port) in all {
        listeners.push(TcpListener::bind(("0.0.0.0", port)).await?);
        say('I', "main.cc:285", format!("Started {name} at 0.0.0.0:{port}"));
    }
    for (listener, (name, _)) in listeners.into_iter().zip(all) {
        let repository = Arc::clone(&repository);
        match name {
            "HTTPService" => tokio::spawn(http::serve(listener, repository)),
            "Metrics Service" => tokio::spawn(http::serve_metrics(listener)),
            // Who speaks gRPC is no test of ours.
            _ => tokio::spawn(async move { while listener.accept().await.is_ok() {} }),
        };
    }
    if arguments.control == Control::Poll {
        tokio::spawn(models::poll(Arc::clone(&repository)));
    }
    let mut end = signal(SignalKind::terminate())?;
    let crashes = async {
        match crash {
            Some(after) => tokio::time::sleep(after).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = end.recv() => {
            log::plain("Signal (15) received.");
            Ok(())
        }
        () = crashes => {
            log::plain("Signal (11) received.");
            anyhow::bail!("Internal - segmentation fault")
        }
    }
}

/// Whether the driver lets this process use the first GPU: a node in /dev alone is not enough.
pub fn has_gpu() -> bool {
    std::fs::File::open("/dev/nvidia0").is_ok()
}

/// Writes a line as Triton does.
pub fn say(level: char, place: &str, text: impl Display) {
    let time = Timestamp::now().strftime("%m%d %H:%M:%S%.6f").to_string();
    log::plain(format!("{level}{time} {} {place}] \"{text}\"", std::process::id()));
}
