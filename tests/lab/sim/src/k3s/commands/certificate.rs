//! `k3s certificate check`.

use super::{flag, server_options};
use crate::{clock, log};
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use x509_parser::prelude::{FromDer, X509Certificate};

const DAY: i64 = 86_400;

/// Runs `k3s certificate check`.
pub fn run(words: &[String]) -> Result<(), String> {
    if words.first().map(String::as_str) != Some("check") {
        return Err("only `certificate check` is known here".to_owned());
    }
    let (_, paths) = server_options()?;
    let mut found = Vec::new();
    for folder in [paths.server.join("tls"), paths.server.join("tls/etcd"), paths.agent] {
        found.extend(read(&folder));
    }
    match flag(words, "--output").or_else(|| flag(words, "-o")) {
        Some("json") => log::out(json!({ "certificates": found })),
        Some("table") => {
            log::out("FILENAME SUBJECT EXPIRES RESIDUAL-TIME STATUS");
            for one in &found {
                let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
                let (residual, status) = (text("residualTime"), text("status"));
                log::out(
                    [text("filename"), text("subject"), text("expiryTime"), residual, status]
                        .join(" "),
                );
            }
        }
        _ => {
            for one in &found {
                let text = |key: &str| one[key].as_str().unwrap_or_default();
                let (file, subject) = (text("filename"), text("subject"));
                let (expires, status) = (text("expiryTime"), text("status"));
                log::info(format!(
                    "{file}: certificate {subject} is {status}, expires at {expires}"
                ));
            }
        }
    }
    Ok(())
}

fn read(folder: &Path) -> Vec<Value> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    names.retain(|path| path.extension().is_some_and(|end| end == "crt"));
    names.sort();
    names.iter().filter_map(|path| describe(path)).collect()
}

fn describe(path: &Path) -> Option<Value> {
    let der = CertificateDer::pem_slice_iter(&fs::read(path).ok()?).next()?.ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    let end = certificate.validity().not_after.timestamp();
    let left = end - clock::unix();
    let status = match left {
        ..0 => "EXPIRED",
        0..10_368_000 => "WARNING",
        _ => "OK",
    };
    Some(json!({
        "filename": path.file_name()?.to_string_lossy(),
        "subject": certificate.subject().to_string(),
        "issuer": certificate.issuer().to_string(),
        "expiryTime": clock::rfc3339(Timestamp::from_second(end).ok()?),
        "residualTime": format!("{}d", left / DAY),
        "status": status,
    }))
}
