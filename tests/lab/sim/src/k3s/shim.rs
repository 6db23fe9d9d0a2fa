//! What runs in a pod: called as `containerd-shim-runc-v2`, it outlives a restart of k3s.
//!
//! After the arguments that the real program has follows what the pod does: `http NAME`, or
//! `dns DOMAIN NAME=ADDRESS...`.

mod dns;
mod http;

use crate::log;
use std::fs;
use std::process::ExitCode;
use std::time::Duration;

/// The name that the program is called by.
pub const NAME: &str = "containerd-shim-runc-v2";

/// Runs a pod until it is told to end.
pub fn main(arguments: &[String]) -> ExitCode {
    // `-namespace k8s.io -id ID -address SOCKET` come first.
    let words: Vec<&str> = arguments.iter().skip(6).map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return ExitCode::FAILURE };
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = serve(&words) => outcome,
            () = unplugged() => Ok(()),
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::fatal(format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(words: &[&str]) -> anyhow::Result<()> {
    match words {
        ["http", name] => http::serve(name).await,
        ["dns", domain, records @ ..] => dns::serve(domain, records).await,
        _ => anyhow::bail!("no such pod: {words:?}"),
    }
}

// Ends when the pod's interface is gone: its host was removed, or its network was.
async fn unplugged() {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        if !fs::read_to_string("/proc/self/net/dev").is_ok_and(|text| text.contains("eth0:")) {
            return;
        }
    }
}
