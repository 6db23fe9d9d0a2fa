//! NVIDIA's programs on a host: they see the driver by the files that it leaves, and nothing else.
//!
//! `/proc/driver/nvidia/version` is the driver in the kernel, `libnvidia-ml.so.<version>` among
//! the libraries is the other half of it, and `/dev/nvidia<number>` is a card.

mod ctk;
mod smi;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

pub use ctk::main as ctk;
pub use smi::main as smi;

/// The version of the container toolkit.
pub const TOOLKIT: &str = "1.20.0";
/// Where the driver's libraries are.
const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu";

/// Returns the version of the driver in the kernel.
pub fn module() -> Option<String> {
    let text = fs::read_to_string("/proc/driver/nvidia/version").ok()?;
    let words = text.lines().next()?.split_whitespace();
    let is_version = |word: &&str| word.contains('.') && word.starts_with(char::is_numeric);
    words.into_iter().find(is_version).map(str::to_owned)
}

/// Returns the version of the library `name`: `libcuda`.
fn library(name: &str) -> Option<String> {
    let start = format!("{name}.so.");
    let entries = fs::read_dir(LIBRARIES).ok()?.flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut versions = names.filter_map(|name| name.strip_prefix(&start).map(str::to_owned));
    versions.find(|version| version.contains('.'))
}

/// Returns the numbers of the cards that the driver shows.
pub fn cards() -> Vec<u32> {
    if module().is_none() {
        return Vec::new();
    }
    let entries = fs::read_dir("/dev").into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut all: Vec<u32> =
        names.filter_map(|name| name.strip_prefix("nvidia")?.parse().ok()).collect();
    all.sort_unstable();
    all
}

/// `nvidia-container-runtime`: says what it is, else is runc.
pub fn runtime(arguments: &[String]) -> ExitCode {
    if arguments.iter().any(|argument| argument == "--version" || argument == "-v") {
        println(&format!("NVIDIA Container Runtime version {TOOLKIT}\nspec: 1.3.0"));
        return ExitCode::SUCCESS;
    }
    let error = Command::new("runc").args(arguments).exec();
    crate::log::plain(format!("nvidia-container-runtime: runc: {error}"));
    ExitCode::FAILURE
}

/// Says whether k3s finds the runtime, where it looks for it.
pub fn has_runtime() -> bool {
    ["/usr/local/nvidia/toolkit", "/usr/bin"]
        .iter()
        .any(|folder| Path::new(folder).join("nvidia-container-runtime").exists())
}

/// Prints a line; who reads no more is no fault of ours.
fn println(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{text}");
}
