//! The Triton inference server.

use std::time::Duration;

use super::file::{File, TritonSection};
use super::finding::{Finding, Findings};
use super::names::unless;
use super::syntax::{Parsed, Wrong};
use super::written::Written;
use crate::cluster::{ModelControl, Ports, Triton, User};

/// Arguments that oceanid gives itself, and the key that says them; none where they must stay as they are.
const OURS: &[(&str, Option<&str>)] = &[
    ("model-repository", Some("models")),
    ("model-store", Some("models")),
    ("model-control-mode", Some("model-control")),
    ("load-model", Some("load")),
    ("exit-on-error", Some("exit-on-error")),
    ("http-port", Some("http-port")),
    ("grpc-port", Some("grpc-port")),
    ("metrics-port", Some("metrics-port")),
    ("allow-http", None),
    ("http-address", None),
    ("grpc-address", None),
    ("metrics-address", None),
    ("allow-metrics", None),
    ("allow-gpu-metrics", None),
    ("strict-readiness", None),
];

/// Reads the section; `None` when it is not there, or when something needed is missing.
pub fn read(file: &File, out: &mut Findings) -> Option<Triton> {
    let section = file.triton.as_ref()?;
    check(section, file, out);
    let user = out.read("user", &section.user, user);
    let text = |text: &Written<String>| text.value().clone();
    Some(Triton {
        image: section.image.as_ref().map(text)?,
        models: section.models.as_ref().map(text)?,
        docker: *section.docker.value(),
        control: *section.model_control.value(),
        load: section.load.iter().map(text).collect(),
        arguments: section.arguments.iter().map(text).collect(),
        environment: section
            .environment
            .iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect(),
        secrets: section
            .secrets
            .iter()
            .map(|(name, value)| (text(name), value.value().clone().into()))
            .collect(),
        ports: Ports {
            http: *section.http_port.value(),
            grpc: *section.grpc_port.value(),
            metrics: *section.metrics_port.value(),
        },
        shm_mib: *section.shm_mib.value(),
        user: user?,
        ready: Duration::from_secs(*section.ready_seconds.value()),
        pull: Duration::from_secs(*section.pull_seconds.value()),
        exit_on_error: *section.exit_on_error.value(),
    })
}

fn check(triton: &Written<TritonSection>, file: &File, out: &mut Findings) {
    if let Some(folder) = &triton.models {
        out.read("models", folder, models);
    }
    if let Some(name) = &triton.image {
        out.read("image", name, image);
    }
    load(triton, out);
    for argument in &triton.arguments {
        out.read("arguments", argument, further);
    }
    variables(triton, out);
    ports(triton, out);
    if !file.node.iter().any(|node| *node.gpu.value()) {
        let hint = "give the node that has one `gpu = true`, or take the section out";
        let title = "`[triton]` needs a GPU, but no node has one";
        out.push(Finding::error(triton.span(), title).hint(hint));
    }
}

fn models(text: &str) -> Parsed<()> {
    // What Docker takes for the end of a path, and what a unit cannot hold.
    let fits = |path: &str| {
        path.starts_with('/') && path.len() > 1 && !path.contains([':', ',', '"', '\n'])
    };
    let what = "not an absolute path without `:`, `,` or quotes";
    unless(fits, text, what, "an example is `/opt/triton/models`")
}

/// An image with a tag or digest.
pub fn image(text: &str) -> Parsed<()> {
    let last = text.rsplit('/').next().unwrap_or_default();
    let pinned = |text: &str| last.contains([':', '@']) && !text.contains(char::is_whitespace);
    let hint = "an example is `nvcr.io/nvidia/tritonserver:26.02-py3`";
    unless(pinned, text, "an image without a tag or digest", hint)
}

fn user(text: &str) -> Parsed<User> {
    let (uid, gid) = text.split_once(':').unwrap_or((text, text));
    match (uid.parse(), gid.parse()) {
        (Ok(uid), Ok(gid)) => Ok(User { uid, gid }),
        _ => Err(Wrong {
            what: "not a user by number".to_owned(),
            hint: Some("an example is `1000:1000`, the user `triton-server` of the image".into()),
        }),
    }
}

fn load(triton: &TritonSection, out: &mut Findings) {
    for name in &triton.load {
        out.read("load", name, model);
    }
    let Some(first) = triton.load.first() else { return };
    if *triton.model_control.value() != ModelControl::Explicit {
        let title = "`load` has no effect without `model-control = \"explicit\"`";
        let hint = "otherwise every model in the folder is loaded";
        out.push(Finding::error(first.span(), title).hint(hint));
    }
    let all = triton.load.iter().find(|name| name.value() == "*");
    if let Some(all) = all.filter(|_| triton.load.len() > 1) {
        let title = "`load` names `*` and further models";
        out.push(Finding::error(all.span(), title).hint("`*` alone is all of them"));
    }
}

/// The name of a model, which is that of its folder.
fn model(text: &str) -> Parsed<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let fits = |text: &str| {
        text == "*" || (!text.is_empty() && !text.starts_with('.') && text.chars().all(plain))
    };
    unless(fits, text, "not the name of a model's folder", "an example is `resnet50`")
}

fn further(text: &str) -> Parsed<()> {
    let wrong = |what: &str, hint: String| Err(Wrong { what: what.to_owned(), hint: Some(hint) });
    let name = text.strip_prefix("--").map(|rest| rest.split('=').next().unwrap_or_default());
    let Some(name) = name.filter(|name| !name.is_empty() && !text.contains(['\n', '\0'])) else {
        let hint = "an example is `--backend-config=python,shm-default-byte-size=1048576`";
        return wrong("not an argument of `tritonserver`", hint.to_owned());
    };
    match OURS.iter().find(|(ours, _)| *ours == name) {
        None => Ok(()),
        Some((_, Some(key))) => {
            wrong("an argument that oceanid gives", format!("use `triton.{key}`"))
        }
        Some((_, None)) => {
            let hint = "by it oceanid knows that Triton is ready, and that nobody else reaches it";
            wrong("an argument that must stay as it is", hint.to_owned())
        }
    }
}

fn variables(triton: &TritonSection, out: &mut Findings) {
    for name in triton.environment.keys().chain(triton.secrets.keys()) {
        out.read("environment", name, variable);
    }
    for (name, value) in &triton.environment {
        if value.contains(['\n', '\0']) {
            let title = format!("`environment`: the value of `{}` has more than one line", **name);
            out.push(Finding::error(value.span(), title));
        }
        if super::mask::looks_secret(name) {
            out.hide(value.span());
            let title = format!("`{}` in `environment` holds a secret", **name);
            let hint = format!("write it as `secrets = {{ {} = {{ env = \"…\" }} }}`", **name);
            out.push(Finding::error(value.span(), title).hint(hint));
        }
        if let Some((secret, _)) = triton.secrets.get_key_value(name.as_str()) {
            let title = format!("`{}` is in `environment` and in `secrets`", **name);
            let finding = Finding::error(secret.span(), title);
            out.push(finding.also(name.span(), "the other one"));
        }
    }
}

fn variable(text: &str) -> Parsed<()> {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let fits =
        |text: &str| text.chars().all(inner) && !text.starts_with(|c: char| c.is_ascii_digit());
    let fits = |text: &str| !text.is_empty() && fits(text);
    unless(fits, text, "not the name of a variable", "letters, digits and `_`")
}

/// Each of them has one.
fn ports(triton: &TritonSection, out: &mut Findings) {
    let all = [
        ("http-port", &triton.http_port),
        ("grpc-port", &triton.grpc_port),
        ("metrics-port", &triton.metrics_port),
    ];
    for (index, (name, port)) in all.iter().enumerate() {
        let earlier = all.iter().take(index).find(|(_, other)| other.value() == port.value());
        if let Some((first, other)) = earlier {
            let title = format!("`{name}` is the port of `{first}`");
            let place = if port.span().is_empty() { other.span() } else { port.span() };
            out.push(Finding::error(place, title).hint("each needs one of its own"));
        }
    }
}
