//! The Triton inference server.

use super::file::{File, TritonSection};
use super::finding::{Finding, Findings};
use super::names::unless;
use super::syntax::Parsed;
use super::written::Written;
use crate::cluster::Triton;

/// Reads the section; `None` when it is not there, or when something needed is missing.
pub fn read(file: &File, out: &mut Findings) -> Option<Triton> {
    let section = file.triton.as_ref()?;
    check(section, file, out);
    Some(Triton {
        image: section.image.as_ref()?.value().clone(),
        models: section.models.as_ref()?.value().clone(),
    })
}

fn check(triton: &Written<TritonSection>, file: &File, out: &mut Findings) {
    if let Some(folder) = &triton.models {
        out.read("models", folder, models);
    }
    if let Some(name) = &triton.image {
        out.read("image", name, image);
    }
    if !file.node.iter().any(|node| *node.gpu.value()) {
        let hint = "give the node that has one `gpu = true`, or take the section out";
        let title = "`[triton]` needs a GPU, but no node has one";
        out.push(Finding::error(triton.span(), title).hint(hint));
    }
}

fn models(text: &str) -> Parsed<()> {
    let absolute = |path: &str| path.starts_with('/');
    unless(absolute, text, "not an absolute path", "an example is `/opt/triton/models`")
}

/// An image with a tag or digest.
pub fn image(text: &str) -> Parsed<()> {
    let last = text.rsplit('/').next().unwrap_or_default();
    let pinned = |text: &str| last.contains([':', '@']) && !text.contains(char::is_whitespace);
    let hint = "an example is `nvcr.io/nvidia/tritonserver:26.02-py3`";
    unless(pinned, text, "an image without a tag or digest", hint)
}
