//! `[triton]` as written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::cluster::{Engine, ModelControl};
use crate::config::written::Written;
use crate::secret::SecretRef;

/// `[triton]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TritonSection {
    /// The container image, with a tag or digest. `oceanid lock` keeps the digest of a tag in
    /// `oceanid.lock`.
    #[schemars(extend("x-required" = true))]
    pub image: Option<Written<String>>,
    /// The folder on the node that holds the models: an absolute path. Triton cannot write to it.
    #[schemars(extend("x-required" = true))]
    pub models: Option<Written<String>>,
    /// Where the container engine comes from.
    pub docker: Written<Engine>,
    /// Which models are loaded, and when.
    pub model_control: Written<ModelControl>,
    /// With `model-control = "explicit"`: the models that are loaded at the start, or `*` for all.
    pub load: Vec<Written<String>>,
    /// Further arguments of `tritonserver`: `--backend-config=…`, `--rate-limit=…`.
    pub arguments: Vec<Written<String>>,
    /// Variables in the environment of Triton.
    pub environment: BTreeMap<Written<String>, Written<String>>,
    /// Variables in the environment of Triton whose values are secrets.
    pub secrets: BTreeMap<Written<String>, Written<SecretRef>>,
    /// The port of HTTP, on 127.0.0.1.
    #[schemars(range(min = 1))]
    pub http_port: Written<u16>,
    /// The port of gRPC, on 127.0.0.1.
    #[schemars(range(min = 1))]
    pub grpc_port: Written<u16>,
    /// The port of the metrics, on 127.0.0.1.
    #[schemars(range(min = 1))]
    pub metrics_port: Written<u16>,
    /// How much memory the processes of Triton may share (`/dev/shm`), MiB.
    #[schemars(range(min = 64, max = 1_048_576))]
    pub shm_mib: Written<u32>,
    /// Whom Triton runs as in its container: `UID` or `UID:GID`. The models must be readable by
    /// them.
    pub user: Written<String>,
    /// How many seconds the models may take to be ready.
    #[schemars(range(min = 10, max = 7200))]
    pub ready_seconds: Written<u64>,
    /// How many seconds the image may take to arrive.
    #[schemars(range(min = 60, max = 86_400))]
    pub pull_seconds: Written<u64>,
    /// Triton ends when a model cannot be loaded at its start. Otherwise it goes on with the others,
    /// but is not ready.
    pub exit_on_error: Written<bool>,
}

impl Default for TritonSection {
    fn default() -> Self {
        Self {
            image: None,
            models: None,
            docker: Engine::default().into(),
            model_control: ModelControl::default().into(),
            load: Vec::new(),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            secrets: BTreeMap::new(),
            http_port: 8000.into(),
            grpc_port: 8001.into(),
            metrics_port: 8002.into(),
            shm_mib: 1024.into(),
            user: "1000:1000".to_owned().into(),
            ready_seconds: 600.into(),
            pull_seconds: 3600.into(),
            exit_on_error: true.into(),
        }
    }
}
