//! What oceanid keeps in order at Cloudflare.

use super::file::File;
use crate::cluster::Cloudflare;

/// Reads the section; `None` when it is not there, or when something needed is missing.
pub fn read(file: &File) -> Option<Cloudflare> {
    let section = file.cloudflare.as_ref()?;
    Some(Cloudflare { token: section.token.as_ref()?.value().clone().into() })
}
