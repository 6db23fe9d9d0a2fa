//! Where k3s' files are: as its own installer lays them, so that its own tools find them.

use crate::actions::{Adopt, Command, Fetch, File, Unit};
use crate::cluster::{Cluster, Delivery, Role};
use crate::script::Script;
use crate::step::Step;
use crate::templates::k3s::{KillAll, Uninstall, UnitEnvironment, UnitFile};
use crate::templates::render;

use super::Inputs;

const PROGRAM: &str = "/usr/local/bin/k3s";
/// Why k3s is restarted where it was started before NVIDIA's runtime was there.
const LACKS: &str = "its containerd does not know NVIDIA's runtime";
/// k3s looks for the runtime when it starts, and only then.
const KNOWS_RUNTIME: &str = "config=/var/lib/rancher/k3s/agent/etc/containerd/config.toml\n\
    if [ -x /usr/bin/nvidia-container-runtime ] && [ -f \"$config\" ]; then\n\
    grep -q nvidia-container-runtime -- \"$config\"\nfi\n";
const IMAGES: &str = "/var/lib/rancher/k3s/agent/images";

/// What the unit of k3s runs with, besides config.yaml.
#[derive(Debug)]
pub struct Layout {
    program: Fetch,
    unit: File,
    environment: File,
    name: &'static str,
    adopt: Adopt,
    gpu: bool,
}

impl Layout {
    /// Says where everything of k3s is on this host; `config` is its config.yaml.
    ///
    /// # Errors
    /// When oceanid.lock has no hash for this host.
    pub fn new(inputs: &Inputs<'_>, config: &File) -> anyhow::Result<Self> {
        let name = inputs.host.role.unit();
        let role = match inputs.host.role {
            Role::Server => "server",
            Role::Agent => "agent",
        };
        let path = format!("/etc/systemd/system/{name}");
        let environment = format!("{path}.env");
        let lines = environment_lines(inputs.cluster);
        Ok(Self {
            program: program(inputs)?,
            unit: File::new(path, render(&UnitFile { role, environment: &environment })?)
                .replaces_secrets(),
            environment: File::new(environment, render(&UnitEnvironment { lines: &lines })?)
                .mode(0o600)
                .replaces_secrets(),
            adopt: Adopt::new(name, role, config, &lines),
            name,
            gpu: inputs.host.gpu && inputs.cluster.gpu.is_some(),
        })
    }

    /// Requires the program, what belongs to it, and the unit's files; nothing is started.
    ///
    /// # Errors
    /// When oceanid.lock lacks the archive of images, or a template fails.
    pub fn files(&self, step: &mut Step, inputs: &Inputs<'_>) -> anyhow::Result<()> {
        if self.gpu
            && inputs.facts.has_k3s
            && inputs.facts.gpu.as_ref().is_some_and(|gpu| gpu.toolkit.is_none())
        {
            step.note(
                "k3s is restarted once NVIDIA's runtime is there: it looks for it when it starts",
            );
        }
        step.ensure(self.program.clone());
        if inputs.cluster.k3s.air_gap {
            step.ensure(images(inputs)?);
        }
        step.ensure(links());
        let uninstall =
            format!("/usr/local/bin/{}-uninstall.sh", self.name.trim_end_matches(".service"));
        step.ensure(File::new("/usr/local/bin/k3s-killall.sh", render(&KillAll)?).mode(0o755));
        step.ensure(File::new(uninstall, render(&Uninstall)?).mode(0o755));
        step.ensure(self.environment.clone());
        step.ensure(self.unit.clone());
        Ok(())
    }

    /// The unit, restarted with all of this; one that runs with these settings already is adopted.
    pub fn running(&self) -> Unit {
        let unit = Unit::running(self.name);
        let unit = if self.gpu { unit.restarts_unless(LACKS, KNOWS_RUNTIME) } else { unit };
        unit.restarts_with(&self.environment)
            .restarts_with(&self.unit)
            .restarts_with_program(&self.program)
            .adopts(&self.adopt)
    }
}

/// The k3s program of the locked version, for this host's architecture.
fn program(inputs: &Inputs<'_>) -> anyhow::Result<Fetch> {
    let (sources, releases) = (&inputs.cluster.sources, inputs.releases);
    let wanted = releases.k3s(sources, inputs.facts.arch()?)?;
    let version = format!("k3s {}", releases.k3s.version);
    Ok(Fetch::new(PROGRAM, wanted.url, wanted.sha256, version)
        .through(sources)
        .delivery(inputs.cluster.k3s.delivery))
}

/// k3s loads what it finds there when it starts.
fn images(inputs: &Inputs<'_>) -> anyhow::Result<Fetch> {
    let (sources, releases) = (&inputs.cluster.sources, inputs.releases);
    let arch = inputs.facts.arch()?;
    let wanted = releases.k3s_images(sources, arch)?;
    let version = format!("the images of k3s {}", releases.k3s.version);
    let path = format!("{IMAGES}/{}", arch.images_file());
    Ok(Fetch::new(path, wanted.url, wanted.sha256, version)
        .plain("images")
        .delivery(Delivery::Push))
}

/// Upstream's links, where no other such command is.
fn links() -> Command {
    let missing =
        "for name in kubectl crictl ctr; do command -v \"$name\" >/dev/null || exit 1; done\n";
    let link = "cd /usr/local/bin\nfor name in kubectl crictl ctr; do\n\
        if command -v \"$name\" >/dev/null || [ -e \"$name\" ]; then continue; fi\n\
        ln -sf k3s \"$name\"\nprintf '%s\\n' \"$name\" >>\"$OCEANID_UNDO/links\"\ndone\n";
    let unlink = "cd /usr/local/bin\nif [ -e \"$OCEANID_UNDO/links\" ]; then\n\
        while read -r name; do\nif [ \"$(readlink -- \"$name\")\" = k3s ]; then rm -f -- \"$name\"; fi\n\
        done <\"$OCEANID_UNDO/links\"\nfi\n";
    Command::new(
        "commands kubectl, crictl, ctr",
        "link those that are missing to k3s",
        missing,
        Script::new(link),
    )
    .undo(Script::new(unlink))
}

/// The proxy, in the words that k3s reads it by.
fn environment_lines(cluster: &Cluster) -> Vec<String> {
    let Some(proxy) = &cluster.sources.proxy else { return Vec::new() };
    let around = around(cluster).join(",");
    ["HTTP_PROXY", "HTTPS_PROXY"]
        .iter()
        .map(|name| format!("{name}={proxy}"))
        .chain([format!("NO_PROXY={around}")])
        .collect()
}

/// What is never reached through the proxy: this host, the cluster's nodes, pods and services.
fn around(cluster: &Cluster) -> Vec<String> {
    let k3s = &cluster.k3s;
    let mut all: Vec<String> =
        ["localhost", "127.0.0.0/8", "::1", ".svc", ".cluster.local"].map(str::to_owned).into();
    all.extend([k3s.pod_cidr.to_string(), k3s.service_cidr.to_string(), k3s.endpoint.clone()]);
    for host in &cluster.hosts {
        all.push(host.address.clone());
        all.extend(host.addresses().iter().map(ToString::to_string));
    }
    all.extend(cluster.sources.no_proxy.iter().cloned());
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|name| seen.insert(name.clone()));
    all
}
