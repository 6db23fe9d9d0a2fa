//! What goes wrong on the way: real hosts, killed runs, cut links, full disks, bad downloads.
#![expect(clippy::panic, reason = "a test")]

mod disk;
mod download;
mod drill;
mod kill;
mod link;
mod lock;
mod lockout;
mod reboot;
mod start;
