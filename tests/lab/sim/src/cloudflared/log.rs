//! Lines as cloudflared (zerolog's console writer) writes them, on stderr.

use std::fmt::Display;

/// Writes a line of level info.
pub fn info(message: impl Display) {
    line("INF", message);
}

/// Writes a line of level warning.
pub fn warning(message: impl Display) {
    line("WRN", message);
}

/// Writes a line of level error.
pub fn error(message: impl Display) {
    line("ERR", message);
}

fn line(level: &str, message: impl Display) {
    crate::log::plain(format!("{} {level} {message}", crate::clock::now()));
}
