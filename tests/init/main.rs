//! `oceanid init`: what is proposed for which hosts, and the dialog in a terminal.
#![expect(clippy::panic, reason = "a test")]

mod files;
mod hosts;
#[path = "../support/lab.rs"]
mod operator;
mod proposals;
#[path = "../support/terminal.rs"]
mod terminal;
