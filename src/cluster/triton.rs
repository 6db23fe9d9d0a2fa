//! The Triton inference server, as it is meant to be.

/// The Triton inference server, on every node with a GPU.
#[derive(Debug, Clone)]
pub struct Triton {
    /// The container image, with a tag or digest.
    pub image: String,
    /// The folder on the node that holds the models.
    pub models: String,
}
