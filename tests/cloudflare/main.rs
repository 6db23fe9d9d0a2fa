//! Cloudflare's side against an API that enforces what the real one does.

mod cloud;
mod creation;
mod drift;
mod faults;
mod refusals;
mod removal;
