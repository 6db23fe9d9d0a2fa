//! This machine, as a host: `--local`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::exchange::{Exchange, Outcome};
use super::payload::Payload;
use super::privilege::{self, Entry, Marks};
use super::{Output, Progress, Remote, RemoteError};
use crate::script::Script;

/// How much later than the script's own deadline we end it ourselves.
const GRACE: Duration = Duration::from_secs(15);

/// The machine that oceanid runs on, as root or through `sudo -n`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Local;

impl Remote for Local {
    async fn run(&self, script: &Script, progress: &Progress<'_>) -> Result<Output, RemoteError> {
        let marks = Marks::fresh()?;
        let payload = Payload::of(script)?;
        let input = payload.input();
        let limit = script.limit();
        let command = privilege::wrapper(script.text(), limit, Entry::Unknown, input, &marks);
        let started = Instant::now();
        let mut child = spawn(&command).map_err(|error| failed(&error))?;
        let mut exchange = Exchange::new(&marks, progress);
        let driven = tokio::time::timeout(
            limit + GRACE,
            drive(&mut child, payload, &mut exchange, progress),
        )
        .await;
        let Ok(driven) = driven else { return Err(RemoteError::Deadline { limit }) };
        driven.map_err(|error| failed(&error))?;
        match exchange.outcome() {
            Outcome::Ran(Output { status: 124 | 137, .. }) if started.elapsed() >= limit => {
                Err(RemoteError::Deadline { limit })
            }
            Outcome::Ran(output) => Ok(output),
            Outcome::NotRoot { reason } => Err(RemoteError::Privilege {
                user: std::env::var("USER").unwrap_or_default(),
                address: "this machine".to_owned(),
                reason: privilege::explain(&reason),
            }),
            Outcome::NotRun { said } => {
                Err(RemoteError::Local(format!("`/bin/sh` does not run: {said}")))
            }
        }
    }

    async fn again(&self) -> Result<Self, RemoteError> {
        Ok(*self)
    }
}

fn failed(error: &std::io::Error) -> RemoteError {
    RemoteError::Local(format!("cannot run `/bin/sh` on this machine: {error}"))
}

fn spawn(command: &str) -> std::io::Result<Child> {
    Command::new("/bin/sh")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

async fn drive(
    child: &mut Child,
    mut payload: Payload<'_>,
    exchange: &mut Exchange<'_>,
    progress: &Progress<'_>,
) -> std::io::Result<()> {
    let mut stdin = child.stdin.take();
    let feed = async move {
        if let Some(stdin) = &mut stdin {
            while let Ok(piece) = payload.next(progress).await {
                // A script need not read its stdin to the end.
                if piece.is_empty() || stdin.write_all(&piece).await.is_err() {
                    return;
                }
            }
        }
    };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (Some(mut stdout), Some(mut stderr)) = (stdout, stderr) else { return Ok(()) };
    let heard = &mut *exchange;
    let listen = async move {
        let (mut first, mut second) = (vec![0; 32 * 1024], vec![0; 32 * 1024]);
        let (mut open_out, mut open_err) = (true, true);
        while (open_out || open_err) && !heard.finished() {
            tokio::select! {
                count = stdout.read(&mut first), if open_out => {
                    let count = count?;
                    open_out = count > 0;
                    heard.stdout(first.get(..count).unwrap_or_default());
                }
                count = stderr.read(&mut second), if open_err => {
                    let count = count?;
                    open_err = count > 0;
                    heard.stderr(second.get(..count).unwrap_or_default());
                }
            }
        }
        Ok::<(), std::io::Error>(())
    };
    {
        tokio::pin!(listen);
        tokio::select! {
            done = &mut listen => done?,
            () = feed => listen.await?,
        }
    }
    let status = child.wait().await?;
    exchange.exit(status.code().unwrap_or(255));
    Ok(())
}
