//! What the cluster gets for its GPUs: manifests, from `templates/gpu/`.

use askama::Template;

/// `device-plugin.yaml`.
#[derive(Debug, Template)]
#[template(path = "gpu/device-plugin.yaml", escape = "none")]
pub struct DevicePlugin<'a> {
    /// The namespace of its own.
    pub namespace: &'a str,
    /// The image, with its digest, quoted.
    pub image: &'a str,
    /// How many pods share a GPU; none is that they do not.
    pub replicas: Option<u32>,
}
