//! A container registry (OCI distribution, API v2) with images that hold one static program.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Kind, Releases};
use crate::command::run;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// This machine's shell, and what it is linked with.
const SHELL: [&str; 3] =
    ["/bin/dash", "/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];

impl Releases {
    /// Adds the image `repository:tag`, whose `/usr/bin/NAME` is `program`; its digest.
    ///
    /// Images of different tags have different digests.
    pub fn add_image(
        &self,
        repository: &str,
        tag: &str,
        (name, program): (&str, &Path),
    ) -> Result<String> {
        let layer = layer(name, program)?;
        let layer_digest = digest(&layer);
        let config = json!({
            "architecture": "amd64", "os": "linux",
            "config": { "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "Labels": { "tag": tag } },
            "rootfs": { "type": "layers", "diff_ids": [&layer_digest] },
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": { "mediaType": CONFIG, "size": config.len(), "digest": digest(&config) },
            "layers": [{ "mediaType": LAYER, "size": layer.len(), "digest": layer_digest }],
        });
        let manifest = manifest.to_string().into_bytes();
        let manifest_digest = digest(&manifest);
        for (bytes, kind) in [(layer, LAYER), (config, CONFIG)] {
            let digest = digest(&bytes);
            self.put(format!("/v2/{repository}/blobs/{digest}"), bytes, kind, digest);
        }
        for reference in [tag, &manifest_digest] {
            let path = format!("/v2/{repository}/manifests/{reference}");
            self.put(path, manifest.clone(), MANIFEST, manifest_digest.clone());
        }
        self.add("/v2/", b"{}".to_vec());
        Ok(manifest_digest)
    }

    fn put(&self, path: String, bytes: Vec<u8>, media_type: &'static str, digest: String) {
        self.add(&path, bytes);
        self.state().kinds.insert(path, Kind { media_type, digest });
    }
}

/// A tar archive with the program and a place for temporary files.
fn layer(name: &str, program: &Path) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    let root = folder.path();
    for (path, mode) in [("usr", 0o755), ("usr/bin", 0o755), ("tmp", 0o1777)] {
        fs::create_dir(root.join(path))?;
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode))?;
    }
    let place = root.join("usr/bin").join(name);
    fs::copy(program, &place).with_context(|| format!("cannot copy `{}`", program.display()))?;
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755))?;
    let mut all = vec!["usr", "tmp"];
    for file in SHELL {
        let place = root.join(file.trim_start_matches('/'));
        fs::create_dir_all(place.parent().context("a file of a folder")?)?;
        fs::copy(file, &place).with_context(|| format!("cannot copy `{file}`"))?;
    }
    fs::rename(root.join("bin/dash"), root.join("bin/sh"))?;
    all.extend(["bin", "lib", "lib64"]);
    let archive = root.join("layer.tar").display().to_string();
    let folder = root.display().to_string();
    let owner = ["--owner=0", "--group=0", "--mtime=@0", "--sort=name"];
    run("tar", &[&owner[..], &["-C", &folder, "-cf", &archive], &all].concat())?;
    Ok(fs::read(archive)?)
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
