//! `docker`: the container engine that Triton runs in.

use anyhow::bail;
use serde_json::{Map, json};

use super::{Inputs, ways};
use crate::actions::{DaemonJson, DockerEngine, Packages, Sound};
use crate::cluster::{Engine, Sources};
use crate::facts::Facts;
use crate::step::Step;

mod repository;

/// What `docker` makes true, in order.
///
/// On a node of k3s packets are forwarded before Docker starts, and Docker then leaves the policy of
/// `FORWARD` as it is; where it does not, flannel's own chain accepts the pods' packets before that.
pub fn docker(inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    let mut step = Step::new("docker");
    let Some(triton) = &inputs.cluster.triton else { return Ok(step) };
    new_enough(triton.docker, inputs.facts)?;
    step.ensure(Sound::that("container engine", others(triton.docker)));
    match triton.docker {
        Engine::Distribution => step.ensure(Packages::installed(distribution(inputs.facts))),
        Engine::DockerCe => {
            repository::ensure(&mut step, inputs)?;
            step.ensure(Packages::installed(repository::PACKAGES));
        }
    }
    let sources = &inputs.cluster.sources;
    step.ensure(DaemonJson::with(settings(sources)));
    step.ensure(engine(sources));
    step.put_back_unless_up(
        "curl -fsS --max-time 10 -o /dev/null --unix-socket /run/docker.sock http://docker/info 2>&1\n",
    );
    Ok(step)
}

/// Refuses a distribution whose engine hands over no devices by their CDI names.
fn new_enough(engine: Engine, facts: &Facts) -> anyhow::Result<()> {
    if engine == Engine::Distribution && facts.os == "debian" && facts.os_version == "12" {
        bail!(
            "the `docker.io` of Debian 12 is 20.10, which cannot hand over a GPU by its CDI name\n\
             hint: set `triton.docker = \"docker-ce\"`"
        );
    }
    Ok(())
}

/// From Debian 13 on the client is a package of its own.
fn distribution(facts: &Facts) -> &'static [&'static str] {
    let debian = facts.os == "debian";
    if debian && facts.os_version.parse().is_ok_and(|version: u32| version >= 13) {
        &["docker.io", "docker-cli", "curl"]
    } else {
        &["docker.io", "curl"]
    }
}

/// Engines that cannot be there beside the wanted one: two would share a socket, or apt would remove one.
fn others(engine: Engine) -> String {
    let (other, key) = match engine {
        Engine::Distribution => ("docker-ce", "docker-ce"),
        Engine::DockerCe => ("docker.io", "distribution"),
    };
    format!(
        "if [ -d /snap/docker ]; then\n\
         echo 'the Docker of snap is installed, and a second engine would fight it for its socket: save what is in it, then `snap remove docker`'\n\
         exit 1\nfi\n\
         if [ -e /var/lib/dpkg/info/{other}.list ] && [ -n \"$(command -v dockerd)\" ]; then\n\
         case $(dpkg-query -W -f '${{db:Status-Status}}' {other} 2>/dev/null) in installed)\n\
         echo '`{other}` is installed, and would be removed for the other engine: set `triton.docker = \"{key}\"`'\n\
         exit 1 ;; esac\nfi\n"
    )
}

/// What oceanid says in daemon.json; all other keys are the operator's.
fn settings(sources: &Sources) -> Map<String, serde_json::Value> {
    let mut keys = Map::new();
    keys.insert("features".into(), json!({ "cdi": true }));
    keys.insert("live-restore".into(), json!(true));
    if let Some(proxy) = &sources.proxy {
        let around = ways::around(sources);
        keys.insert(
            "proxies".into(),
            json!({ "http-proxy": proxy, "https-proxy": proxy, "no-proxy": around }),
        );
    }
    keys
}

fn engine(sources: &Sources) -> DockerEngine {
    let engine = DockerEngine::default()
        .says("\"LiveRestoreEnabled\":true", "`live-restore` is not in effect")
        .says("\"CDISpecDirs\":[\"", "`features.cdi` is not in effect");
    match &sources.proxy {
        Some(proxy) => {
            engine.says(format!("\"HttpsProxy\":{}", json!(proxy)), "it does not use the proxy")
        }
        None => engine,
    }
}
