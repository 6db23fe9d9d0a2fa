//! Docker's own apt repository, with the key that signs it.

use anyhow::bail;

use crate::actions::{AptKey, File, Packages};
use crate::facts::Facts;
use crate::step::Step;
use crate::steps::Inputs;
use crate::templates::render;
use crate::templates::triton::DockerList;

/// The engine, its client, and the containerd that it wants.
pub const PACKAGES: &[&str] = &["docker-ce", "docker-ce-cli", "containerd.io", "curl"];

/// Where Docker's own guide has them, so that a host set up by it gets no second source.
const LIST: &str = "/etc/apt/sources.list.d/docker.list";
const KEY: &str = "/etc/apt/keyrings/docker.asc";

/// `Docker Release (CE deb) <docker@docker.com>`, for Debian and Ubuntu alike.
const FINGERPRINT: &str = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88";

/// Requires the key, then the repository.
pub fn ensure(step: &mut Step, inputs: &Inputs<'_>) -> anyhow::Result<()> {
    let (sources, facts) = (&inputs.cluster.sources, inputs.facts);
    let repository = format!("{}/{}", sources.docker, facts.os);
    // It reads keys, and curl gets them; apt itself comes with something that cannot show them.
    step.ensure(Packages::installed(&["ca-certificates", "curl", "gpg"]));
    step.ensure(AptKey::new(KEY, format!("{repository}/gpg"), FINGERPRINT).through(sources));
    let list = DockerList { key: KEY, repository: &repository, suite: suite(facts)? };
    step.ensure(File::new(LIST, render(&list)?));
    Ok(())
}

/// The release in the words of its repositories.
fn suite(facts: &Facts) -> anyhow::Result<&'static str> {
    match (facts.os.as_str(), facts.os_version.as_str()) {
        ("debian", "12") => Ok("bookworm"),
        ("debian", "13") => Ok("trixie"),
        ("ubuntu", "22.04") => Ok("jammy"),
        ("ubuntu", "24.04") => Ok("noble"),
        (os, version) => bail!("Docker's repository for {os} {version} is not known"),
    }
}
