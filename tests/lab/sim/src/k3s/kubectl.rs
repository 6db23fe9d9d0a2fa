//! `k3s kubectl`: the few commands that a cluster of nodes alone can answer.

mod arguments;
mod change;
mod get;
mod kubeconfig;

use super::client::{Answer, Client};
use super::store::{RESOURCES, Resource};
use crate::log;
use crate::stamp::Version;
use arguments::Arguments;
use change::Scheduling;
use hyper::StatusCode;
use serde_json::Value;
use std::process::ExitCode;

/// Runs kubectl.
pub fn main(words: &[String]) -> ExitCode {
    let outcome = Arguments::parse(words).and_then(|arguments| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("error: {error}"))?;
        runtime.block_on(run(&arguments))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            log::plain(message);
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), String> {
    match arguments.command() {
        "" | "help" => {
            log::out("kubectl controls the Kubernetes cluster manager.");
            Ok(())
        }
        "version" => version(arguments).await,
        "get" => get::run(arguments, &Api::open(arguments)?).await,
        "label" => change::label(arguments, &Api::open(arguments)?).await,
        "annotate" => change::annotate(arguments, &Api::open(arguments)?).await,
        "taint" => change::taint(arguments, &Api::open(arguments)?).await,
        "cordon" => change::cordon(arguments, &Api::open(arguments)?, Scheduling::Stop).await,
        "uncordon" => change::cordon(arguments, &Api::open(arguments)?, Scheduling::Resume).await,
        "delete" => change::delete(arguments, &Api::open(arguments)?).await,
        "wait" => get::wait(arguments, &Api::open(arguments)?).await,
        other => Err(format!("error: unknown command {other:?} for \"kubectl\"")),
    }
}

async fn version(arguments: &Arguments) -> Result<(), String> {
    log::out(format!("Client Version: {}", Version::own().as_str()));
    log::out("Kustomize Version: v5.8.1");
    if arguments.flag("client").is_some() {
        return Ok(());
    }
    let answer = Api::open(arguments)?.send("GET", "/version", &[], String::new()).await?;
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    log::out(format!("Server Version: {}", body["gitVersion"].as_str().unwrap_or_default()));
    Ok(())
}

/// The API server that the kubeconfig names.
pub struct Api {
    client: Client,
    server: String,
}

impl Api {
    /// Reads the kubeconfig.
    ///
    /// # Errors
    /// The line that kubectl prints.
    pub fn open(arguments: &Arguments) -> Result<Self, String> {
        let (client, server) = kubeconfig::read(arguments.flag("kubeconfig"))?;
        Ok(Self { client, server })
    }

    /// Takes the kubeconfig of the administrator of this server.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn admin() -> Result<Self, String> {
        let (client, server) = kubeconfig::read(Some("/etc/rancher/k3s/k3s.yaml"))?;
        Ok(Self { client, server })
    }

    /// Asks the server.
    ///
    /// # Errors
    /// The line that kubectl prints: the server cannot be reached, or says no.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: String,
    ) -> Result<Answer, String> {
        let answer = self.client.send(method, path, fields, body).await.map_err(|error| {
            let text = format!("{error:#}");
            if text.contains("refused") {
                let server = &self.server;
                format!("The connection to the server {server} was refused - did you specify the right host or port?")
            } else {
                format!("Unable to connect to the server: {text}")
            }
        })?;
        if answer.code.is_success() { Ok(answer) } else { Err(server_error(&answer)) }
    }

    /// Asks for an object.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn object(&self, path: &str) -> Result<Value, String> {
        let answer = self.send("GET", path, &[], String::new()).await?;
        serde_json::from_slice(&answer.body).map_err(|error| format!("error: {error}"))
    }
}

fn server_error(answer: &Answer) -> String {
    if answer.code == StatusCode::UNAUTHORIZED {
        return "error: You must be logged in to the server (Unauthorized)".to_owned();
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match (body["reason"].as_str(), body["message"].as_str()) {
        (Some("Invalid"), Some(message)) => format!("The {message}"),
        (Some(reason), Some(message)) => format!("Error from server ({reason}): {message}"),
        _ => format!("Error from server ({})", answer.code),
    }
}

/// Finds the resource that a user calls `nodes`, `node` or `no`.
///
/// # Errors
/// The line that kubectl prints.
pub fn resource(name: &str) -> Result<&'static Resource, String> {
    let plain = name.split('.').next().unwrap_or_default().to_lowercase();
    let short = match plain.as_str() {
        "no" => "nodes",
        "ns" => "namespaces",
        "po" => "pods",
        "svc" => "services",
        "cm" => "configmaps",
        other => other,
    };
    RESOURCES
        .iter()
        .find(|one| one.plural == short || one.kind.to_lowercase() == short)
        .ok_or_else(|| format!("error: the server doesn't have a resource type {name:?}"))
}

/// Returns the path of a collection.
pub fn collection(resource: &Resource, arguments: &Arguments) -> String {
    let base = if resource.group.is_empty() {
        "/api/v1".to_owned()
    } else {
        format!("/apis/{}", resource.api_version())
    };
    let everywhere = arguments.flag("all-namespaces").is_some();
    let namespace = arguments.flag("namespace").unwrap_or("default");
    match resource.namespaced && !everywhere {
        true => format!("{base}/namespaces/{namespace}/{}", resource.plural),
        false => format!("{base}/{}", resource.plural),
    }
}
