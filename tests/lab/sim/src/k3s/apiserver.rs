//! The API server: the files that its arguments name, which it reads before it starts.

use super::flags::Options;
use anyhow::{Context, anyhow, bail};
use serde_json::Value;
use std::fs;
use std::io::ErrorKind;

const ARGUMENTS: &str = "kube-apiserver-arg";

/// Does what the API server does before it serves.
///
/// # Errors
/// It does not start, and k3s with it.
pub fn check(options: &Options) -> anyhow::Result<()> {
    admission(options).and_then(|()| audit(options)).context("apiserver exited")
}

fn admission(options: &Options) -> anyhow::Result<()> {
    let mut configured = Vec::new();
    if let Some(path) = options.component_argument(ARGUMENTS, "admission-control-config-file") {
        let document = read(&path).with_context(|| {
            format!("failed to read plugin config: unable to read admission control configuration from {path:?}")
        })?;
        if document["kind"] != "AdmissionConfiguration" {
            bail!("failed to read plugin config: no kind \"AdmissionConfiguration\" in {path:?}");
        }
        configured = document["plugins"].as_array().cloned().unwrap_or_default();
    }
    let enabled = options.component_argument(ARGUMENTS, "enable-admission-plugins");
    let mut enabled = enabled.iter().flat_map(|list| list.split(','));
    let limits = |plugin: &Value| {
        let limits = plugin["configuration"]["limits"].as_array();
        plugin["name"] == "EventRateLimit" && limits.is_some_and(|list| !list.is_empty())
    };
    if enabled.any(|plugin| plugin.trim() == "EventRateLimit") && !configured.iter().any(limits) {
        bail!(
            "failed to initialize admission: couldn't init admission plugin \"EventRateLimit\": limits: Invalid value: \"\": must not be empty"
        );
    }
    Ok(())
}

fn audit(options: &Options) -> anyhow::Result<()> {
    let Some(path) = options.component_argument(ARGUMENTS, "audit-policy-file") else {
        return Ok(());
    };
    let policy = read(&path)
        .with_context(|| format!("loading audit policy file: failed to read file path {path:?}"))?;
    let rules = policy["rules"].as_array().cloned().unwrap_or_default();
    if policy["kind"] != "Policy" || rules.is_empty() {
        bail!("loading audit policy file: loaded illegal policy with 0 rules from file {path}");
    }
    let levels = ["None", "Metadata", "Request", "RequestResponse"];
    for rule in rules {
        if !levels.iter().any(|level| rule["level"] == *level) {
            bail!(
                "loading audit policy file: Unsupported value: {}: supported values: {levels:?}",
                rule["level"]
            );
        }
    }
    if let Some(log) = options.component_argument(ARGUMENTS, "audit-log-path") {
        fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&log)
            .with_context(|| format!("ensureLogFile: open {log}"))?;
    }
    Ok(())
}

fn read(path: &str) -> anyhow::Result<Value> {
    let text = fs::read_to_string(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow!("open {path}: no such file or directory"),
        _ => anyhow!("open {path}: {error}"),
    })?;
    Ok(serde_saphyr::from_str(&text)?)
}
