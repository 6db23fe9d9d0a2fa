//! An HTTP server with releases in the upstream layout, and with every way to serve them wrongly.

mod nvidia;
mod registry;
mod serve;
mod tls;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::command::{run, run_for};

pub use tls::Mirror;

/// The version that the stand-in is served as.
const SIM_VERSION: &str = "v1.36.3+k3s1";

/// A program to serve, and the version that it says it is.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// Where it is on this machine.
    pub path: PathBuf,
    /// The release's tag: `v1.36.3+k3s1`.
    pub version: String,
    /// Whether it is the stand-in.
    pub sim: bool,
}

/// How a file is served wrongly.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The announced length is right; the connection ends after this many bytes.
    Truncated(usize),
    /// Other bytes of the same length.
    WrongBytes,
    /// 200 and a proxy's log-in page.
    Html,
    /// This status and no file.
    Status(u16),
    /// At most this many bytes a second.
    Slow(usize),
    /// The request is taken and nothing is ever said.
    Silent,
}

/// A running server; it lasts as long as the process.
#[derive(Debug, Clone)]
pub struct Releases {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, Arc<Vec<u8>>>,
    /// What a registry says of some of them.
    kinds: BTreeMap<String, Kind>,
    faults: BTreeMap<String, Fault>,
    requests: Vec<String>,
}

/// What a registry says of a file.
#[derive(Debug, Clone)]
struct Kind {
    media_type: &'static str,
    digest: String,
}

impl Artifact {
    /// The program in `OCEANID_LAB_K3S` with the version that it prints, else the stand-in.
    pub fn k3s() -> Result<Self> {
        let Some(path) = std::env::var_os("OCEANID_LAB_K3S").map(PathBuf::from) else {
            return Ok(Self { path: build_sim()?, version: SIM_VERSION.to_owned(), sim: true });
        };
        let text = run(&path.display().to_string(), &["--version"])
            .context("`OCEANID_LAB_K3S` does not say its version")?;
        let version = text.split_whitespace().nth(2).context("no version in what k3s printed")?;
        let version = version.to_owned();
        Ok(Self { path, version, sim: false })
    }
}

impl Releases {
    /// Serves on `address`; port 0 takes a free one.
    pub fn start(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address)
            .with_context(|| format!("cannot listen on {address} for the releases"))?;
        let state = Arc::default();
        let releases = Self { address: listener.local_addr()?, state: Arc::clone(&state) };
        std::thread::spawn(move || serve::accept(&listener, &state, None));
        Ok(releases)
    }

    /// Adds `bytes` at `path`: `/k3s/v1.36.3+k3s1/k3s`.
    pub fn add(&self, path: &str, bytes: Vec<u8>) {
        self.state().files.insert(path.to_owned(), Arc::new(bytes));
    }

    /// Adds a release of k3s in the layout of its project.
    pub fn add_k3s(&self, artifact: &Artifact) -> Result<()> {
        let bytes = std::fs::read(&artifact.path)
            .with_context(|| format!("cannot read `{}`", artifact.path.display()))?;
        let hash = hex::encode(Sha256::digest(&bytes));
        let images = b"no images in the lab".to_vec();
        let other = hex::encode(Sha256::digest(&images));
        let folder = format!("/k3s/{}", artifact.version);
        for (arch, binary) in [("amd64", "k3s"), ("arm64", "k3s-arm64"), ("arm", "k3s-armhf")] {
            self.add(&format!("{folder}/{binary}"), bytes.clone());
            let archive = format!("k3s-airgap-images-{arch}.tar.zst");
            let list = format!("{other}  {archive}\n{hash}  {binary}\n");
            self.add(&format!("{folder}/sha256sum-{arch}.txt"), list.into_bytes());
            self.add(&format!("{folder}/{archive}"), images.clone());
        }
        Ok(())
    }

    /// Adds a release of cloudflared, for which the stand-in stands in.
    pub fn add_cloudflared(&self, version: &str) -> Result<()> {
        let mut bytes = std::fs::read(build_sim()?)?;
        bytes.extend(format!("\ncloudflared-version {version}\n").into_bytes());
        let bytes = Arc::new(bytes);
        for arch in ["amd64", "arm64", "armhf"] {
            let path = format!("/cloudflared/{version}/cloudflared-linux-{arch}");
            self.state().files.insert(path, Arc::clone(&bytes));
        }
        Ok(())
    }

    /// Replaces the archives of images of a release by `images`.
    pub fn add_images(&self, artifact: &Artifact, images: &[u8]) -> Result<()> {
        let program = std::fs::read(&artifact.path)
            .with_context(|| format!("cannot read `{}`", artifact.path.display()))?;
        let (program, archive) = (Sha256::digest(&program), Sha256::digest(images));
        let folder = format!("/k3s/{}", artifact.version);
        for (arch, binary) in [("amd64", "k3s"), ("arm64", "k3s-arm64"), ("arm", "k3s-armhf")] {
            let name = format!("k3s-airgap-images-{arch}.tar.zst");
            let list = format!("{archive:x}  {name}\n{program:x}  {binary}\n");
            self.add(&format!("{folder}/sha256sum-{arch}.txt"), list.into_bytes());
            self.add(&format!("{folder}/{name}"), images.to_vec());
        }
        Ok(())
    }

    /// From now on serves every path that ends in `suffix` wrongly.
    pub fn fault(&self, suffix: &str, fault: Fault) {
        self.state().faults.insert(suffix.to_owned(), fault);
    }

    /// From now on serves everything rightly.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// The paths that were asked for, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    /// What stands before a path: `http://198.51.100.1:8080`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Builds the stand-in as a static program, and says where it is.
///
/// # Errors
/// When it cannot be built.
pub fn build_sim() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("OCEANID_LAB_SIM") {
        return Ok(path.into());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let manifest = root.join("Cargo.toml").display().to_string();
    let target = target_folder(&cargo, &manifest)?;
    let triple = "x86_64-unknown-linux-musl";
    let arguments = [
        "build",
        "--quiet",
        "--release",
        "--package",
        "sim",
        "--target",
        triple,
        "--manifest-path",
        &manifest,
    ];
    run_for(Duration::from_mins(15), &cargo, &arguments).context("cannot build `sim`")?;
    let path = target.join(triple).join("release/sim");
    if !path.exists() {
        bail!("`{}` is not there after the build", path.display());
    }
    Ok(path)
}

fn target_folder(cargo: &str, manifest: &str) -> Result<PathBuf> {
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--no-deps", "--manifest-path", manifest])
        .output()
        .context("cannot start `cargo metadata`")?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let folder = metadata.get("target_directory").and_then(serde_json::Value::as_str);
    Ok(folder.context("`cargo metadata` names no target folder")?.into())
}
