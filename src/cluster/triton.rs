//! The Triton inference server, as it is meant to be.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// The Triton inference server, on every node with a GPU.
#[derive(Debug, Clone)]
pub struct Triton {
    /// The container image, with a tag or digest.
    pub image: String,
    /// The folder on the node that holds the models.
    pub models: String,
    /// Where the container engine comes from.
    pub docker: Engine,
    /// Which models are loaded, and when.
    pub control: ModelControl,
    /// The models that are loaded at the start, where that is explicit; `*` is all.
    pub load: Vec<String>,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// Variables of its environment.
    pub environment: BTreeMap<String, String>,
    /// Likewise, those with secret values.
    pub secrets: BTreeMap<String, Secret>,
    /// Where it listens on 127.0.0.1.
    pub ports: Ports,
    /// How much memory its processes may share, MiB.
    pub shm_mib: u32,
    /// Whom it runs as.
    pub user: User,
    /// How long the models may take to be ready.
    pub ready: Duration,
    /// How long the image may take to arrive.
    pub pull: Duration,
    /// Whether it ends when a model cannot be loaded at its start.
    pub exit_on_error: bool,
}

/// The ports of Triton.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// HTTP.
    pub http: u16,
    /// gRPC.
    pub grpc: u16,
    /// Metrics.
    pub metrics: u16,
}

/// A user of a container, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// The user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// Where the container engine comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// The distribution's own package, `docker.io`: Debian 13 and Ubuntu have one that is new enough.
    #[default]
    Distribution,
    /// Docker's own apt repository.
    DockerCe,
}

/// Which models are loaded, and when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModelControl {
    /// All of them, at the start.
    #[default]
    None,
    /// Those in `load`; others are loaded and unloaded through the API.
    Explicit,
    /// All of them, and again whenever the folder changes; not meant for production.
    Poll,
}

impl ModelControl {
    /// The word that Triton has for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Explicit => "explicit",
            Self::Poll => "poll",
        }
    }
}
