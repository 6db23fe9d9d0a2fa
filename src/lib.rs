//! oceanid turns bare Debian and Ubuntu hosts into a hardened k3s cluster, over SSH alone.

pub mod action;
pub mod cluster;
pub mod config;
pub mod docs;
pub mod remote;
pub mod script;
pub mod secret;
pub mod step;
