//! One look at everything in the cluster that is ours or wanted: a single process on the host.

use std::fmt::Write as _;

use anyhow::Context;
use serde_json::Value;

use super::object::{KINDS, Kind, Listing, MANAGED_BY, MANAGER, Object};
use super::{Identity, curl, url};
use crate::remote::Output;

/// The certificate that a server has once k3s ran there.
const CERTIFICATE: &str = "/var/lib/rancher/k3s/server/tls/client-admin.crt";

/// The paths that are asked for, all in one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    paths: Vec<(&'static Kind, String)>,
}

/// What the API has.
#[derive(Debug)]
pub enum Seen {
    /// These objects.
    Objects(Vec<Object>),
    /// It does not answer, for this reason.
    Silent(String),
}

impl Survey {
    /// Looks for all kinds of object that may be ours, and for those of `wanted` that may be another's.
    #[must_use]
    pub fn of(wanted: &[Object]) -> Self {
        Self::of_kinds(&KINDS.iter().collect::<Vec<_>>(), wanted)
    }

    /// As [`Self::of`], for objects of `kinds` only.
    #[must_use]
    pub fn of_kinds(kinds: &[&'static Kind], wanted: &[Object]) -> Self {
        let mut paths = Vec::new();
        for kind in kinds.iter().copied() {
            let selector = match kind.listing {
                Listing::All => String::new(),
                Listing::Ours => format!("labelSelector={MANAGED_BY}%3D{MANAGER}&"),
                Listing::Named(name) => format!("fieldSelector=metadata.name%3D{name}&"),
            };
            paths.push((kind, format!("{}?{selector}pretty=false", kind.path())));
            let named = wanted.iter().filter(|object| object.kind == kind);
            if kind.listing == Listing::Ours {
                paths.extend(named.map(|one| (kind, format!("{}?pretty=false", one.path()))));
            }
        }
        Self { paths }
    }

    /// The read-only script: a line with the body, a line with the status, for each path.
    #[must_use]
    pub fn script(&self) -> String {
        let mut text = format!(
            "[ -e {CERTIFICATE} ] || {{ printf 'k3s never ran here\\n' >&2; exit 7; }}\n{} \
             -w '\\n%{{http_code}}\\n'",
            curl(Identity::Admin).replace(" --fail-with-body", "")
        );
        for (_, path) in &self.paths {
            let _ = write!(text, " {}", url(Identity::Admin, path));
        }
        text.push('\n');
        text
    }

    /// Reads what the script printed.
    ///
    /// # Errors
    /// When the answers are not the API's.
    pub fn read(&self, output: &Output) -> anyhow::Result<Seen> {
        let lines: Vec<&str> =
            output.stdout.lines().filter(|line| !line.trim().is_empty()).collect();
        let mut answers = Vec::new();
        let mut body = "";
        for line in lines {
            match line.parse::<u16>() {
                Ok(code) if line.len() == 3 => answers.push((code, std::mem::take(&mut body))),
                _ => body = line,
            }
        }
        let silent = answers.iter().find(|(code, _)| !matches!(code, 200 | 404));
        if answers.len() != self.paths.len() || silent.is_some() {
            let said = output.stderr.lines().last().unwrap_or("no answer").trim();
            return Ok(Seen::Silent(match silent {
                Some((code, _)) if *code > 0 => format!("it answers with status {code}"),
                _ => said.to_owned(),
            }));
        }
        let mut objects: Vec<Object> = Vec::new();
        for ((kind, path), (_, body)) in
            self.paths.iter().zip(answers).filter(|(_, (code, _))| *code == 200)
        {
            let found = parse(kind, body).with_context(|| format!("cannot read `{path}`"))?;
            for object in found {
                if objects.iter().all(|known| !known.is(&object)) {
                    objects.push(object);
                }
            }
        }
        Ok(Seen::Objects(objects))
    }
}

fn parse(kind: &'static Kind, body: &str) -> anyhow::Result<Vec<Object>> {
    let mut value: Value = serde_json::from_str(body).context("it is not JSON")?;
    match value.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => {
            items.into_iter().map(|item| Object::of_kind(kind, item)).collect()
        }
        Some(_) => Ok(Vec::new()),
        None => Ok(vec![Object::of_kind(kind, value)?]),
    }
}
