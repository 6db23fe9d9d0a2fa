//! oceanid turns bare Debian and Ubuntu hosts into a hardened k3s cluster, over SSH alone.

pub mod action;
pub mod actions;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod config;
pub mod docs;
pub mod engine;
pub mod exposure;
pub mod facts;
pub mod firewall;
pub mod fleet;
pub mod guard;
pub mod kube;
pub mod lock;
pub mod probe;
pub mod receipt;
pub mod releases;
pub mod remote;
pub mod report;
pub mod script;
pub mod secret;
pub mod sshd;
pub mod step;
pub mod steps;
pub mod templates;
