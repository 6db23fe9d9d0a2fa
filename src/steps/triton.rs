//! `triton`: the inference server, serving its models.

use std::fmt::Write as _;

use anyhow::Context as _;
use secrecy::SecretString;

use super::{Inputs, ways};
use crate::actions::{File, Image, Serving, Sound, Unit};
use crate::cluster::Triton;
use crate::secret;
use crate::step::Step;
use crate::templates::render;
use crate::templates::triton::{TritonProgram, TritonUnit, word};

mod checks;

/// The systemd unit.
pub const UNIT: &str = "tritonserver.service";
/// What the container is called: nobody else's has this name by accident.
const CONTAINER: &str = "oceanid-triton";
/// What the unit runs: it attends to the container.
const PROGRAM: &str = "/usr/local/lib/oceanid/tritonserver";
/// Variables that anybody may know.
const ENVIRONMENT: &str = "/etc/oceanid/triton.env";
/// Variables that nobody but root may know.
const SECRETS: &str = "/etc/oceanid/triton-secrets.env";
/// What runs in the container first, where there are any: it puts them into the environment.
const TAKE_SECRETS: &str =
    "while IFS= read -r line; do export \"$line\"; done; exec tritonserver \"$@\"";
/// The ports inside the container.
const INSIDE: [u16; 3] = [8000, 8001, 8002];

/// What `triton` makes true, in order.
pub fn triton(inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    let mut step = Step::new("triton");
    let Some(triton) = &inputs.cluster.triton else { return Ok(step) };
    let image = inputs.releases.image(&triton.image)?;
    // Before anything is pulled or stopped: what would keep it from serving.
    step.ensure(Sound::that(format!("models {}", triton.models), checks::models(triton)));
    step.ensure(Sound::that("device nvidia.com/gpu=all", checks::device()));
    let unit_file = format!("/etc/systemd/system/{UNIT}");
    step.ensure(Sound::that(
        "ports of Triton",
        checks::ports(triton.ports, UNIT, &unit_file, CONTAINER),
    ));
    let sources = &inputs.cluster.sources;
    let pull = Image::pulled(&image, triton.pull);
    step.ensure(match &sources.proxy {
        Some(proxy) => pull.through(proxy, &ways::around(sources)),
        None => pull,
    });
    let files = files(triton, &image)?;
    for file in &files {
        step.ensure(file.clone());
    }
    let unit = files.iter().fold(Unit::running(UNIT), Unit::restarts_with);
    // Its start waits for Docker, and for nothing else.
    step.ensure(unit.within(std::time::Duration::from_secs(360)));
    let serving = Serving::new(UNIT, triton, &checks::folders(triton));
    step.ensure(serving);
    step.put_back_unless_up(Serving::is_up(UNIT));
    Ok(step)
}

/// Everything that the unit is started with.
fn files(triton: &Triton, image: &str) -> anyhow::Result<Vec<File>> {
    let mut files = Vec::new();
    if !triton.environment.is_empty() {
        let mut text = String::new();
        for (name, value) in &triton.environment {
            let _ = writeln!(text, "{name}={value}");
        }
        files.push(File::new(ENVIRONMENT, text));
    }
    if !triton.secrets.is_empty() {
        files.push(secrets(triton));
    }
    let secrets = (!triton.secrets.is_empty()).then_some(SECRETS);
    let program = render(&TritonProgram { container: CONTAINER, secrets })?;
    files.push(File::new(PROGRAM, program).mode(0o755));
    let words = words(triton, image);
    let unit = TritonUnit { container: CONTAINER, program: PROGRAM, words: &words };
    let unit = render(&unit).context("cannot write Triton's unit")?;
    files.push(File::new(format!("/etc/systemd/system/{UNIT}"), unit));
    Ok(files)
}

/// The variables whose values are secrets; not known before they are fetched.
fn secrets(triton: &Triton) -> File {
    let known: Option<Vec<(&str, SecretString)>> =
        triton.secrets.iter().map(|(name, value)| Some((name.as_str(), value.known()?))).collect();
    match known {
        Some(known) => File::secret(SECRETS, secret::assignments(&known)),
        None => File::later(SECRETS),
    }
}

/// What the container is made with, then the image, then what runs in it.
fn words(triton: &Triton, image: &str) -> Vec<String> {
    let ports = triton.ports;
    let outside = [ports.http, ports.grpc, ports.metrics];
    let mut lines: Vec<Vec<String>> = [
        &["--name", CONTAINER] as &[&str],
        &["--pull", "never"],
        &["--device", "nvidia.com/gpu=all"],
        &["--cap-drop", "ALL"],
        &["--security-opt", "no-new-privileges"],
        &["--ulimit", "memlock=-1"],
        &["--ulimit", "stack=67108864"],
        &["--log-driver", "local", "--log-opt", "max-size=10m", "--log-opt", "max-file=2"],
    ]
    .iter()
    .map(|line| line.iter().map(|word| (*word).to_owned()).collect())
    .collect();
    let mut pair = |option: &str, value: String| lines.push(vec![option.to_owned(), value]);
    pair("--user", format!("{}:{}", triton.user.uid, triton.user.gid));
    pair("--shm-size", format!("{}m", triton.shm_mib));
    for (outside, inside) in outside.iter().zip(INSIDE) {
        pair("--publish", format!("127.0.0.1:{outside}:{inside}"));
    }
    pair("--mount", format!("type=bind,source={},target=/models,readonly", triton.models));
    if !triton.environment.is_empty() {
        pair("--env-file", ENVIRONMENT.to_owned());
    }
    if triton.secrets.is_empty() {
        lines.push(vec![image.to_owned(), String::from("tritonserver")]);
    } else {
        let command = [image, "/bin/sh", "-c", TAKE_SECRETS, "tritonserver"];
        lines.push(vec![String::from("--interactive")]);
        lines.push(command.map(str::to_owned).into());
    }
    lines.extend(arguments(triton).into_iter().map(|argument| vec![argument]));
    let quoted =
        |line: Vec<String>| line.iter().map(|text| word(text)).collect::<Vec<_>>().join(" ");
    lines.into_iter().map(quoted).collect()
}

fn arguments(triton: &Triton) -> Vec<String> {
    let mut all = vec![
        String::from("--model-repository=/models"),
        format!("--model-control-mode={}", triton.control.word()),
        format!("--exit-on-error={}", triton.exit_on_error),
    ];
    all.extend(triton.load.iter().map(|model| format!("--load-model={model}")));
    all.extend(triton.arguments.iter().cloned());
    all
}
