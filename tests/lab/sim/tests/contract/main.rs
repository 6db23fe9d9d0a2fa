//! What oceanid relies on in k3s, asked of the program in `OCEANID_LAB_K3S`, else of the stand-in.
//!
//! Each test names the source of its fact: `observed` is what the real program did when it was
//! run, `facts` is its documentation or source. Where a real k3s fails a test here, the test and
//! the stand-in are wrong.

mod access;
mod agent;
mod api;
mod apply;
mod commands;
mod datastore;
mod ground;
mod network;
mod nvidia;
mod refusals;
mod server;
mod servers;
mod settings;
mod state;
