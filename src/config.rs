//! cluster.toml: from text to a checked [`Cluster`], or to every mistake in it at once.

mod access;
mod baseline;
mod caution;
mod cloudflare;
mod cron;
mod file;
mod finding;
mod further;
mod gpu;
mod harden;
mod k3s;
mod k3s_keys;
mod mask;
mod names;
mod network;
mod nodes;
mod reach;
pub(crate) mod reference;
mod servers;
mod shape;
mod sources;
pub(crate) mod suggest;
pub(crate) mod syntax;
mod topology;
mod triton;
mod tunnels;
mod written;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::de::DeTable;

pub use self::file::{File, GitopsTool, GpuRuntime};
pub use self::finding::{Diagnostic, Paint, Severity};
use self::finding::{Finding, Findings};
pub use self::network::is_private;
pub use self::syntax::is_version;
use crate::cluster::Cluster;

/// A file without errors.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it means.
    pub cluster: Cluster,
    /// What the user should know, in the order of the file.
    pub warnings: Vec<Diagnostic>,
}

/// Why there is no cluster.
#[derive(Debug)]
pub enum Invalid {
    /// The file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file is wrong: all errors and warnings, in the order of the file.
    Wrong(Vec<Diagnostic>),
}

/// Reads a file and checks it, without contacting anyone.
///
/// # Errors
/// With every mistake in the file at once.
pub fn load(path: &Path) -> Result<Loaded, Invalid> {
    let text = std::fs::read_to_string(path)
        .map_err(|cause| Invalid::Unreadable { path: path.to_owned(), cause })?;
    parse(&path.display().to_string(), &text)
}

/// Checks the text of a file called `name`.
///
/// # Errors
/// With every mistake in the text at once.
pub fn parse(name: &str, text: &str) -> Result<Loaded, Invalid> {
    let mut out = Findings::default();
    let cluster = tree(text, &mut out).and_then(|file| cluster(&file, &mut out));
    let failed = out.has_errors();
    let diagnostics = out.into_diagnostics(name, text);
    match cluster {
        Some(cluster) if !failed => Ok(Loaded { cluster, warnings: diagnostics }),
        _ => Err(Invalid::Wrong(diagnostics)),
    }
}

/// Reads as much of the text as fits the types.
fn tree(text: &str, out: &mut Findings) -> Option<File> {
    let (mut root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or_default();
        out.push(Finding::error(span, error.message()));
    }
    if !errors.is_empty() {
        for secret in mask::suspects(text) {
            out.hide(secret);
        }
    }
    // What a broken file seems to say would only be guesses.
    let sound = errors.iter().all(|error| error.message().contains("duplicate key"));
    if !sound {
        return None;
    }
    shape::compare(root.get_mut(), out);
    match File::deserialize(toml::Deserializer::from(root)) {
        Ok(file) => Some(file),
        Err(error) => {
            out.push(Finding::error(error.span().unwrap_or_default(), error.message()));
            None
        }
    }
}

/// Makes what is meant out of what is written; `None` when something needed is missing.
fn cluster(file: &File, out: &mut Findings) -> Option<Cluster> {
    let networks = network::read(file, out);
    let mut hosts = nodes::read(file, out);
    gpu::mark(file, &mut hosts);
    let k3s = k3s::read(file, networks, &hosts, out);
    let sources = sources::read(&file.sources, out);
    names::check(file, out);
    let baseline = baseline::read(file, out);
    servers::check(file, out);
    let gpu = gpu::read(file, out);
    let triton = triton::read(file, out);
    let (tunnels, cloudflared) = (tunnels::read(file, out), tunnels::program(file, out));
    let cloudflare = cloudflare::read(file, out);
    caution::check(file, out);
    topology::check(file, &hosts, out);
    Some(Cluster {
        name: file.cluster.name.as_ref()?.value().clone(),
        domain: file.cluster.domain.as_ref().map(|domain| domain.value().clone()),
        hosts,
        k3s: k3s?,
        sources: sources?,
        guard: Duration::from_secs(*file.cluster.guard_seconds.value()),
        baseline,
        gpu,
        triton,
        tunnels,
        cloudflared,
        cloudflare,
    })
}

impl Invalid {
    /// Everything about it, and at the end how much there is.
    #[must_use]
    pub fn render(&self, paint: Paint) -> String {
        let diagnostics = match self {
            Self::Unreadable { path, cause } => {
                let hint = "`-f FILE` names another file";
                let path = path.display();
                return format!(
                    "error: cannot read `{path}`\n  caused by: {cause}\n  hint: {hint}"
                );
            }
            Self::Wrong(diagnostics) => diagnostics,
        };
        let mut blocks: Vec<String> = diagnostics.iter().map(|one| one.render(paint)).collect();
        blocks.push(count(diagnostics));
        blocks.join("\n\n")
    }
}

fn count(diagnostics: &[Diagnostic]) -> String {
    let of = |severity| diagnostics.iter().filter(|one| one.severity() == severity).count();
    let say = |number: usize, word: &str| match number {
        1 => format!("1 {word}"),
        number => format!("{number} {word}s"),
    };
    match (of(Severity::Error), of(Severity::Warning)) {
        (errors, 0) => say(errors, "error"),
        (errors, warnings) => format!("{}, {}", say(errors, "error"), say(warnings, "warning")),
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(Paint::Plain))
    }
}

impl std::error::Error for Invalid {}
