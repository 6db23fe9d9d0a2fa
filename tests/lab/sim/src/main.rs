//! One static program that stands in for the programs which the lab cannot fetch.
//!
//! It acts as the program whose name it was called by, or whose name is its first argument:
//! `sim k3s server` is `k3s server`. Each program lives in a module of its own.

mod clock;
mod cloudflare;
mod cloudflared;
mod database;
mod edge;
mod k3s;
mod log;
mod names;
mod notify;
mod nvidia;
mod settings;
mod stamp;
mod triton;
mod web;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments: Vec<String> =
        std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let called = if arguments.is_empty() { String::new() } else { arguments.remove(0) };
    let mut program = base_name(&called);
    if program == "sim" && !arguments.is_empty() {
        program = arguments.remove(0);
    }
    match program.as_str() {
        "kubectl" | "crictl" | "ctr" => {
            arguments.insert(0, program);
            k3s::main(&arguments)
        }
        "cloudflare-api" => cloudflare::main(&arguments),
        "nvidia-smi" => nvidia::smi(&arguments),
        "nvidia-ctk" => nvidia::ctk(&arguments),
        "nvidia-container-runtime" => nvidia::runtime(&arguments),
        "tritonserver" => triton::main(&arguments),
        "database" => database::main(&arguments),
        "edge" => edge::main(&arguments),
        "containerd-shim-runc-v2" => k3s::shim(&arguments),
        name if name.starts_with("cloudflared") => cloudflared::main(&arguments),
        // Whatever a mirror or a test names the file, it is k3s unless it says otherwise.
        name if name.starts_with("k3s") => k3s::main(&arguments),
        _ => {
            log::plain("sim: call it as k3s or cloudflared, or as `sim k3s ...`");
            ExitCode::from(64)
        }
    }
}

fn base_name(path: &str) -> String {
    Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned()
}
