//! Lines as k3s (logrus) and its kubelet (klog) write them, on stderr.

use jiff::Timestamp;
use std::fmt::Display;
use std::io::Write;

/// Writes a logrus line of level info.
pub fn info(message: impl Display) {
    logrus("info", &message.to_string());
}

/// Writes a logrus line of level warning.
pub fn warning(message: impl Display) {
    logrus("warning", &message.to_string());
}

/// Writes a logrus line of level error.
pub fn error(message: impl Display) {
    logrus("error", &message.to_string());
}

/// Writes a logrus line of level fatal; the caller then exits with 1.
pub fn fatal(message: impl Display) {
    logrus("fatal", &message.to_string());
}

/// Writes a klog line of level error: `E1123 16:29:48.000000 PID FILE] TEXT`.
pub fn kubelet_error(file: &str, text: impl Display) {
    let time = Timestamp::now().strftime("%m%d %H:%M:%S%.6f").to_string();
    plain(format!("E{time} {:>7} {file}] {text}", std::process::id()));
}

/// Writes a line as it is.
pub fn plain(line: impl Display) {
    // A closed stderr is no reason to end.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Writes a line to stdout.
pub fn out(line: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn logrus(level: &str, message: &str) {
    plain(format!("time=\"{}\" level={level} msg={message:?}", crate::clock::now()));
}
