//! The kubeconfig: which server, which authority, which user.

use crate::k3s::client::Client;
use crate::k3s::pki::Pair;
use base64::Engine;
use serde_json::Value;
use std::{env, fs};

/// Reads the kubeconfig at `path`, or at the usual place, and returns a client for its server.
///
/// # Errors
/// The line that kubectl prints.
pub fn read(path: Option<&str>) -> Result<(Client, String), String> {
    let named = path.map(str::to_owned).or_else(|| env::var("KUBECONFIG").ok());
    let path = named.unwrap_or_else(|| "/etc/rancher/k3s/k3s.yaml".to_owned());
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Err(format!(
                "error: error loading config file \"{path}\": open {path}: permission denied"
            ));
        }
        Err(_) => {
            return Err("The connection to the server localhost:8080 was refused - did you specify the right host or port?".to_owned());
        }
    };
    let config: Value = serde_saphyr::from_str(&text)
        .map_err(|error| format!("error: error loading config file \"{path}\": {error}"))?;
    client(&config).map_err(|error| format!("error: {error:#}"))
}

fn client(config: &Value) -> anyhow::Result<(Client, String)> {
    let current = named(&config["contexts"], &config["current-context"])["context"].clone();
    let cluster = named(&config["clusters"], &current["cluster"])["cluster"].clone();
    let user = named(&config["users"], &current["user"])["user"].clone();
    let server = cluster["server"].as_str().unwrap_or_default();
    let (host, port) = crate::k3s::agent::address(server)?;
    let pair = Pair {
        certificate: material(&user, "client-certificate")?,
        key: material(&user, "client-key")?,
    };
    let ca = material(&cluster, "certificate-authority")?;
    let user = (!pair.certificate.is_empty()).then_some(&pair);
    Ok((Client::new(&host, port, &ca, user)?, format!("{host}:{port}")))
}

fn named(list: &Value, name: &Value) -> Value {
    let all = list.as_array().into_iter().flatten();
    all.into_iter().find(|one| one["name"] == *name).cloned().unwrap_or_default()
}

// Either the data itself, in base64, or the name of a file.
fn material(holder: &Value, name: &str) -> anyhow::Result<String> {
    if let Some(data) = holder[format!("{name}-data")].as_str() {
        return Ok(String::from_utf8(base64::engine::general_purpose::STANDARD.decode(data)?)?);
    }
    match holder[name].as_str() {
        Some(path) => Ok(fs::read_to_string(path)?),
        None => Ok(String::new()),
    }
}
