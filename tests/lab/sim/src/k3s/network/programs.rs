//! The programs of the host that shape its network.

use anyhow::{Context, bail};
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::{env, fs};

/// Says whether a network device of that name exists.
pub fn device_exists(name: &str) -> bool {
    // Not below /sys: that shows the network of whoever mounted it.
    let text = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    text.lines()
        .any(|line| line.trim_start().strip_prefix(name).is_some_and(|rest| rest.starts_with(':')))
}

/// Returns the one of `programs` that the host lacks.
pub fn missing(programs: &[&'static str]) -> Option<&'static str> {
    let path = env::var_os("PATH").unwrap_or_default();
    let there = |program: &str| env::split_paths(&path).any(|folder| folder.join(program).exists());
    programs.iter().copied().find(|program| !there(program))
}

/// Runs `ip` with the words of `line`; its stdout.
pub fn ip(line: &str) -> anyhow::Result<String> {
    run("ip", &line.split_whitespace().collect::<Vec<_>>())
}

/// Runs `ip -j` with the words of `line`; the objects that it prints.
pub fn ip_json(line: &str) -> anyhow::Result<Vec<Value>> {
    objects(&ip(&format!("-j {line}"))?)
}

/// Runs `bridge` with the words of `line`; its stdout.
pub fn bridge(line: &str) -> anyhow::Result<String> {
    run("bridge", &line.split_whitespace().collect::<Vec<_>>())
}

/// Runs `bridge -j` with the words of `line`; the objects that it prints.
pub fn bridge_json(line: &str) -> anyhow::Result<Vec<Value>> {
    objects(&bridge(&format!("-j {line}"))?)
}

fn objects(text: &str) -> anyhow::Result<Vec<Value>> {
    // Nothing to list is an empty text, or an empty object in the list.
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let list: Vec<Value> = serde_json::from_str(text).context("JSON")?;
    Ok(list.into_iter().filter(|one| one.as_object().is_some_and(|map| !map.is_empty())).collect())
}

/// Runs a program; its stdout.
///
/// # Errors
/// It could not be started, or failed: with what it said.
pub fn run(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    let output = command.args(arguments).stdin(Stdio::null()).output();
    finished(program, arguments, output)
}

/// Starts a program that lives on: in a session of its own, a child of the host's first process.
///
/// # Errors
/// It could not be started.
pub fn detach(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("setsid");
    command.arg("--fork").arg(program).args(arguments);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir("/");
    // Whoever waited for the end of its output would wait for its end.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().context("exec: \"setsid\"")?;
    if !status.success() {
        bail!("{program} {}: {status}", arguments.join(" "));
    }
    Ok(())
}

/// Runs a program that reads `text`.
///
/// # Errors
/// It could not be started, or failed: with what it said.
pub fn feed(program: &str, arguments: &[&str], text: &str) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    let child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let output = child.and_then(|mut child| {
        if let Some(mut stdin) = child.stdin.take() {
            // A program that ends early says why on stderr.
            let _ = stdin.write_all(text.as_bytes());
        }
        child.wait_with_output()
    });
    finished(program, arguments, output).map(drop)
}

fn finished(
    program: &str,
    arguments: &[&str],
    output: std::io::Result<Output>,
) -> anyhow::Result<String> {
    let output = output.with_context(|| format!("exec: {program:?}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}: {}", arguments.join(" "), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
