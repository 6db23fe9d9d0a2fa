//! What each command does.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use clap::Parser as _;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::{Cli, Command, Removable};
use crate::cloudflare::Which;
use crate::fleet::OldNodes;
use crate::report::{Event, Exit, Observer as _, Style};
use context::{Context, Teller};

mod beside;
mod bootstrap;
mod completions;
mod context;
mod delivery;
mod docs;
mod doctor;
mod facts;
mod init;
mod kubeconfig;
mod lock;
mod man;
mod plan;
mod remove;
mod rollback;
mod self_update;
mod server;
mod status;
mod terminal;
mod trust;
mod tunnel;
mod unlock;
mod validate;
mod verify;
mod version;

/// Runs what was typed, and returns what the process's exit status says.
#[must_use]
pub fn main() -> ExitCode {
    match crate::complete::answer() {
        Ok(false) => {}
        Ok(true) => return Exit::Done.into(),
        Err(error) => {
            say(&format!("error: {error}"));
            return Exit::Failed.into();
        }
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let shown = error.print();
            let usage = error.use_stderr() || shown.is_err();
            return if usage { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    log_to_stderr(&cli);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(interruptible(cli)),
        Err(error) => Err(error.into()),
    };
    result.unwrap_or_else(|error| complain(&error)).into()
}

/// The operator's wish to stop, and the way to tell that it was heard.
#[derive(Default)]
struct Stop {
    asked: AtomicBool,
    teller: OnceLock<Teller>,
}

impl Stop {
    fn tell(&self, text: &str) {
        match self.teller.get() {
            Some(teller) => teller.on(&Event::Warning { host: None, text }),
            None => say(text),
        }
    }
}

/// Runs the command; the first Ctrl-C lets the running change end, the second leaves it to the host.
async fn interruptible(cli: Cli) -> anyhow::Result<Exit> {
    let stop = Arc::new(Stop::default());
    if matches!(cli.command, Command::Tunnel { .. } | Command::SelfUpdate { .. }) {
        // They hear Ctrl-C themselves.
        return Box::pin(run(cli, stop)).await;
    }
    if matches!(cli.command, Command::Init(_)) {
        // Nothing is written anywhere before its end. The listener comes first: a prompt that is
        // left raises the same signal.
        return tokio::select! {
            biased;
            () = interrupt() => Err(init::Left.into()),
            result = run(cli, stop) => result,
        };
    }
    let twice = async {
        interrupt().await;
        stop.asked.store(true, Ordering::SeqCst);
        stop.tell("stopping after the running change; Ctrl-C again to leave at once");
        interrupt().await;
    };
    tokio::select! {
        result = run(cli, Arc::clone(&stop)) => result,
        () = twice => {
            stop.tell("left at once: a change that is running on a host goes on there, and the next run waits for it");
            Ok(Exit::Interrupted)
        }
    }
}

async fn interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn run(cli: Cli, stop: Arc<Stop>) -> anyhow::Result<Exit> {
    let global = &cli.global;
    match cli.command {
        Command::Init(wanted) => init::run(global, wanted).await,
        Command::Validate => validate::run(global),
        Command::Docs { topic } => docs::run(topic.as_deref()),
        Command::Explain { code } => docs::explain(code.as_deref()),
        Command::Facts { nodes } => facts::run(&Context::new(global, stop)?, nodes).await,
        Command::Plan { target, diff, detailed_exitcode } => {
            plan::run(&Context::new(global, stop)?, target, diff, detailed_exitcode).await
        }
        Command::Bootstrap { target, apply } => {
            let context = Context::new(global, stop)?;
            let purpose = if target.nodes.is_empty() {
                String::from("bootstrap")
            } else {
                format!("bootstrap {}", target.nodes.join(" "))
            };
            bootstrap::run(&context, context.selection(target)?, &apply, &purpose).await
        }
        Command::Join { nodes, local, replace, steps, apply } => {
            let mut context = Context::new(global, stop)?;
            if local {
                context.mark_local(&nodes)?;
            }
            let purpose = format!("join {}", nodes.join(" "));
            let mut selection = context.selection(crate::cli::Target { nodes, steps })?;
            if replace {
                selection.old_nodes = OldNodes::Removed;
            }
            bootstrap::run(&context, selection, &apply, &purpose).await
        }
        Command::Remove { what: Removable::Cloudflare, leftovers, yes } => {
            let which = if leftovers { Which::Leftovers } else { Which::All };
            remove::run(&Context::new(global, stop)?, which, yes).await
        }
        Command::Lock => lock::run(&Context::new(global, stop)?).await,
        Command::Verify { target } => verify::run(&Context::new(global, stop)?, target).await,
        Command::Rollback { nodes, run, yes } => {
            rollback::run(&Context::new(global, stop)?, nodes, run, yes).await
        }
        Command::Status => status::run(Context::new(global, stop)?).await,
        Command::Doctor { nodes } => doctor::run(&Context::new(global, stop)?, nodes).await,
        Command::Kubeconfig(wanted) => kubeconfig::run(&Context::new(global, stop)?, wanted).await,
        Command::Tunnel { port } => tunnel::run(&Context::new(global, stop)?, port).await,
        Command::Trust { node, fingerprint } => {
            trust::run(&Context::new(global, stop)?, &node, fingerprint.as_deref()).await
        }
        Command::Completions { shell } => completions::run(shell),
        Command::Man { folder } => man::run(&folder),
        Command::Unlock { nodes } => unlock::run(&Context::new(global, stop)?, nodes).await,
        Command::Version { check: false, .. } => version::run(global),
        Command::Version { source, .. } => version::check(global, &source).await,
        Command::SelfUpdate { to, source } => {
            self_update::run(global, to.as_deref(), &source).await
        }
    }
}

/// Shows an error that belongs to no host, and says what the exit status is.
fn complain(error: &anyhow::Error) -> Exit {
    let stderr = std::io::stderr();
    let style = Style::of(&stderr);
    if let Some(usage) = error.downcast_ref::<context::Usage>() {
        say(&format!("error: {usage}"));
        return Exit::Usage;
    }
    if error.is::<init::Left>() {
        say(&error.to_string());
        return Exit::Interrupted;
    }
    // With stderr gone there is nobody to tell.
    drop(crate::report::failure(&mut stderr.lock(), None, error, style));
    crate::report::exit_code([error])
}

/// Writes a line of talk to stderr.
fn say(text: &str) {
    // With stderr gone there is nobody to tell.
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Writes data to stdout.
fn print(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

fn log_to_stderr(cli: &Cli) {
    let default = if cli.global.verbose { "oceanid=debug" } else { "off" };
    let asked = std::env::var("OCEANID_LOG").unwrap_or_else(|_| default.to_owned());
    // A level, or `target=level` and more of them; what is neither is no reason to log nothing.
    let filter = asked.parse().or_else(|_| default.parse()).unwrap_or_else(|_| Targets::new());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}
