//! The stand-in for k3s: `server`, `agent` and the commands beside them.

mod agent;
mod api;
mod apiserver;
mod apply;
mod balancer;
mod bootstrap;
mod bootstrap_token;
mod client;
mod cluster;
mod commands;
mod config;
mod controller;
mod critical;
mod discovery;
mod etcd;
mod external;
mod fields;
mod fitness;
mod flags;
mod gpus;
mod http;
mod join;
mod kubectl;
mod kubelet;
mod layout;
mod lease;
mod network;
mod node;
mod packaged;
mod patch;
mod pki;
mod reply;
mod select;
mod server;
mod services;
mod shim;
mod store;
mod supervisor;
mod table;
mod token;
mod validate;
mod watch;

use crate::log;
use crate::stamp::Version;
use config::Refusal;
use flags::Role;
pub use http::{decode, query};
use std::process::ExitCode;
pub use token::random_hex;
use tokio::signal::unix::{SignalKind, signal};

/// Runs k3s with the arguments after its name.
pub fn main(arguments: &[String]) -> ExitCode {
    // Only one backend is compiled in, so nothing else can have been installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let rest = arguments.get(1..).unwrap_or_default();
    match arguments.first().map(String::as_str) {
        Some("server") => server::main(rest),
        Some("agent") => agent::main(rest),
        Some("kubectl") => kubectl::main(rest),
        Some("--version" | "-v" | "version") => {
            let version = Version::own();
            log::out(format!("k3s version {} ({})", version.as_str(), version.commit()));
            log::out(format!("go version {}", version.go_version()));
            ExitCode::SUCCESS
        }
        None | Some("help" | "--help" | "-h") => {
            log::out(
                "NAME:\n   k3s - Kubernetes, but small and simple\n\nUSAGE:\n   k3s [global options] command [command options] [arguments...]\n\nCOMMANDS:\n   server           Run management server\n   agent            Run node agent\n   kubectl          Run kubectl\n   token            Manage tokens\n   etcd-snapshot    Manage etcd snapshots\n   check-config     Run config check\n   secrets-encrypt  Control secrets encryption and keys rotation\n   certificate      Manage K3s certificates",
            );
            ExitCode::SUCCESS
        }
        Some(other) => commands::main(other, rest).unwrap_or_else(|| {
            log::out(format!("No help topic for '{other}'"));
            ExitCode::from(3)
        }),
    }
}

/// Runs a pod's process with the arguments after its name.
pub fn shim(arguments: &[String]) -> ExitCode {
    shim::main(arguments)
}

/// Says why `role` does not start, as k3s says it.
fn refuse(role: Role, refusal: &Refusal) -> ExitCode {
    match refusal {
        Refusal::Usage(message) => {
            log::out(format!("Incorrect Usage: {message}\n\n{}", flags::help(role)));
            log::fatal(message);
        }
        Refusal::Other(error) => log::fatal(in_words_of_go(error)),
    }
    ExitCode::FAILURE
}

/// Says what went wrong as a program in Go says it.
fn in_words_of_go(error: &anyhow::Error) -> String {
    format!("{error:#}")
        .replace("No space left on device (os error 28)", "no space left on device")
        .replace("No such file or directory (os error 2)", "no such file or directory")
}

/// Runs `work` until it fails or the process is told to end.
fn run_until_terminated(work: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else {
        log::fatal("cannot start");
        return ExitCode::FAILURE;
    };
    runtime.block_on(async {
        let (Ok(mut terminated), Ok(mut interrupted)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            return ExitCode::FAILURE;
        };
        tokio::select! {
            outcome = work => match outcome {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    log::fatal(in_words_of_go(&error));
                    ExitCode::FAILURE
                }
            },
            _ = terminated.recv() => {
                log::info("Received signal \"terminated\", shutting down");
                ExitCode::SUCCESS
            }
            _ = interrupted.recv() => ExitCode::SUCCESS,
        }
    })
}
