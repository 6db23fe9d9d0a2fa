//! Programs of this machine, each with a deadline and an error that says what it printed.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a program may take that only talks to this machine's kernel.
const QUICK: Duration = Duration::from_secs(30);

/// Runs `program` for at most 30 seconds; its stdout, or an error with its stderr.
pub fn run<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> Result<String> {
    run_for(QUICK, program, arguments)
}

/// Runs `program` for at most `limit`; its stdout, or an error with its stderr.
pub fn run_for<A: AsRef<OsStr>>(limit: Duration, program: &str, arguments: &[A]) -> Result<String> {
    let output = output_for(limit, program, arguments)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let line: Vec<_> = arguments.iter().map(|a| a.as_ref().to_string_lossy()).collect();
        bail!(
            "`{program} {}` failed ({}): {}{}",
            line.join(" "),
            if output.status.code() == Some(124) {
                format!("no end after {limit:?}")
            } else {
                output.status.to_string()
            },
            String::from_utf8_lossy(&output.stderr),
            tail(&said, 20)
        );
    }
    Ok(said)
}

/// Runs `program` for at most `limit` and returns whatever came of it; 124 is a timeout.
pub fn output_for<A: AsRef<OsStr>>(
    limit: Duration,
    program: &str,
    arguments: &[A],
) -> Result<Output> {
    Command::new("timeout")
        .arg("--kill-after=5")
        .arg(limit.as_secs_f64().to_string())
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{program}`"))
}

/// Asks `done` every 50 ms until it yields a value; after `limit` an error with `diagnosis`.
pub fn wait_for<T>(
    limit: Duration,
    what: &str,
    mut done: impl FnMut() -> Result<Option<T>>,
    diagnosis: impl FnOnce() -> String,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = done()? {
            return Ok(value);
        }
        if start.elapsed() > limit {
            bail!("waited {limit:?} in vain for {what}\n{}", diagnosis());
        }
        sleep(Duration::from_millis(50));
    }
}

/// The last `count` lines of `text`.
#[must_use]
pub fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
