//! The stand-in for cloudflared: `tunnel run`, `tunnel ingress validate` and `--version`.

mod config;
mod connector;
mod credentials;
mod edges;
mod flags;
mod ingress;
mod log;
mod metrics;
mod proxy;
mod run;

pub use edges::REGIONS;
pub use run::uuid;

use crate::{log as plain, stamp};
use flags::{Command, Invocation};
use std::process::ExitCode;

/// What a copy without a line of its own claims to be.
const DEFAULT: &str = "2026.8.2";

/// Runs cloudflared with the arguments after its name.
pub fn main(arguments: &[String]) -> ExitCode {
    let invocation = match flags::parse(arguments) {
        Ok(invocation) => invocation,
        Err(usage) => {
            plain::out(format!("Incorrect Usage: {usage}\n\n{}", flags::HELP));
            plain::plain(usage);
            return ExitCode::FAILURE;
        }
    };
    let done = match &invocation.command {
        Command::Version => {
            plain::out(format!("cloudflared version {} (built 2026-08-21-1204 UTC)", version()));
            Ok(())
        }
        Command::Help => {
            plain::out(flags::HELP);
            Ok(())
        }
        Command::Validate => validate(&invocation),
        Command::Rule(url) => rule(&invocation, url),
        Command::Run(_) => run::main(&invocation),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            plain::plain(error);
            ExitCode::FAILURE
        }
    }
}

/// Returns the version that this copy claims to be.
pub fn version() -> String {
    stamp::claimed("cloudflared-version ").unwrap_or_else(|| DEFAULT.to_owned())
}

fn validate(invocation: &Invocation) -> Result<(), String> {
    let config = config::read(invocation)?;
    plain::out(format!("Validating rules from {}", config.source));
    ingress::parse(&config.ingress).map_err(|why| format!("Validation failed: {why}"))?;
    if config.unused.is_empty() {
        plain::out("OK");
        return Ok(());
    }
    plain::out("Warning: unused keys detected in your config file. Here is a list of unused keys:");
    plain::out(format!("yaml: unmarshal errors:\n{}", config.unused.join("\n")));
    Ok(())
}

fn rule(invocation: &Invocation, url: &str) -> Result<(), String> {
    let config = config::read(invocation)?;
    plain::out(format!("Using rules from {}", config.source));
    let rules =
        ingress::parse(&config.ingress).map_err(|why| format!("Validation failed: {why}"))?;
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let at = ingress::find(&rules, host, &format!("/{path}"));
    let rule = rules.get(at).ok_or("no rule")?;
    plain::out(format!("Matched rule #{at}\n\tservice: {}", rule.service));
    Ok(())
}
