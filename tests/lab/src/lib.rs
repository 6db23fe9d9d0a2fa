//! Real hosts on one machine: systemd, sshd and apt as they are on a rented server, thrown away after use.

mod cluster_toml;
pub mod command;
mod edge;
mod files;
mod host;
mod image;
mod keys;
mod lab;
mod network;
mod relay;
mod releases;
mod sampler;
mod slot;
mod topology;

pub use cluster_toml::ClusterToml;
pub use edge::Edge;
pub use files::Manifest;
pub use host::{DRIVER, Host, SshdCounts, in_pod};
pub use image::Release;
pub use lab::{Lab, down, status};
pub use relay::Relay;
pub use releases::{Artifact, Fault, Mirror, Releases, build_sim};
pub use sampler::{Observed, Sampler};
pub use topology::{HostSpec, Login, Place, Privilege, Topology};
