//! kubeconfig files: one cluster's entry, and its merge into a file that holds others too.

use std::fmt;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use crate::certificate::Certificate;
use crate::secret;

pub use api::is_unreachable;
pub use file::{Outcome, Place, merge};

mod api;
mod file;

/// A name that stands in every API certificate of k3s.
pub const TLS_NAME: &str = "kubernetes";

const MISSHAPEN: &str = "it has not the form of a kubeconfig";

/// What is known of one cluster and its administrator.
#[derive(Debug, Clone)]
pub struct Access {
    /// Where the API answers: `https://host:port`.
    pub server: String,
    /// The name in the API's certificate, where it is not that of `server`.
    pub tls_name: Option<String>,
    /// The CA of the API, PEM.
    pub ca: Vec<u8>,
    /// The administrator's certificate with its chain, PEM.
    pub certificate: Vec<u8>,
    /// The key to it, base64 of the PEM.
    key: SecretString,
}

/// A kubeconfig file's content; it holds secrets, and never shows them.
#[derive(Clone, PartialEq)]
pub struct Kubeconfig(Value);

/// Whether the new context becomes the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Current {
    /// It does.
    Switched,
    /// It does where there was none.
    Kept,
}

/// The name is taken by something that is not this cluster's.
#[derive(Debug, thiserror::Error)]
#[error("the {kind} `{name}` is there already, and {reason}")]
pub struct Foreign {
    /// `cluster`, `context` or `user`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// How it is seen to be another one.
    pub reason: &'static str,
}

/// Reads a file that a kubeconfig names instead of holding its content.
pub type Named<'a> = dyn Fn(&str) -> Option<Vec<u8>> + 'a;

impl fmt::Debug for Kubeconfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kubeconfig")
    }
}

impl Default for Kubeconfig {
    fn default() -> Self {
        Self(json!({
            "apiVersion": "v1", "kind": "Config",
            "clusters": [], "contexts": [], "current-context": "", "users": [],
        }))
    }
}

impl Access {
    /// Reads what k3s wrote for its administrator.
    ///
    /// # Errors
    /// When it is not of the form that k3s writes.
    pub fn of_k3s(yaml: &SecretString) -> anyhow::Result<Self> {
        let config = Kubeconfig::parse(yaml).context("the server's kubeconfig cannot be read")?;
        let name = config.current();
        config
            .access(&name, &|_| None)
            .context("the server's kubeconfig has not the form that k3s writes")
    }

    /// The administrator's certificate.
    ///
    /// # Errors
    /// When it is none.
    pub fn leaf(&self) -> anyhow::Result<Certificate> {
        Certificate::first(&self.certificate)
    }
}

impl Kubeconfig {
    /// Reads a file's text; an empty one has no entries.
    ///
    /// # Errors
    /// With the line at which it is no YAML, or what it lacks to be a kubeconfig.
    pub fn parse(text: &SecretString) -> anyhow::Result<Self> {
        let options = serde_saphyr::options! {
            // What kubectl reads: YAML 1.1. A snippet could show a secret.
            legacy_octal_numbers: true,
            with_snippet: false,
        };
        let value: Value = serde_saphyr::from_str_with_options(secret::text(text), options)?;
        if value.is_null() {
            return Ok(Self::default());
        }
        let map = value.as_object().context(MISSHAPEN)?;
        for list in ["clusters", "contexts", "users"] {
            let fit = match map.get(list) {
                None | Some(Value::Null) => true,
                Some(Value::Array(entries)) => {
                    entries.iter().all(|entry| entry["name"].is_string())
                }
                Some(_) => false,
            };
            ensure!(fit, "`{list}` is no list of entries with names");
        }
        Ok(Self(value))
    }

    /// The file's text.
    ///
    /// # Errors
    /// Never for what was parsed or merged here.
    pub fn render(&self) -> anyhow::Result<SecretString> {
        let options =
            serde_saphyr::ser_options! { compact_list_indent: true, prefer_block_scalars: false };
        let text = serde_saphyr::to_string_with_options(&self.0, options)
            .context("cannot write a kubeconfig")?;
        Ok(SecretString::from(text))
    }

    /// The current context; empty when there is none.
    #[must_use]
    pub fn current(&self) -> String {
        self.0["current-context"].as_str().unwrap_or_default().to_owned()
    }

    /// What the context `name` leads to, with a certificate for a user.
    ///
    /// # Errors
    /// When there is no such context, or something else than certificates opens it.
    pub fn access(&self, name: &str, named: &Named<'_>) -> anyhow::Result<Access> {
        let context = self.entry("contexts", name).context("there is no such context")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let cluster = self.entry("clusters", &text(&context["context"]["cluster"]));
        let cluster = &cluster.context("its cluster is missing")?["cluster"];
        let user = self.entry("users", &text(&context["context"]["user"]));
        let user = &user.context("its user is missing")?["user"];
        let read =
            |value, key| content(value, key, named).with_context(|| format!("it has no {key}"));
        Ok(Access {
            server: cluster["server"].as_str().context("it has no server")?.to_owned(),
            tls_name: cluster["tls-server-name"].as_str().map(str::to_owned),
            ca: read(cluster, "certificate-authority")?,
            certificate: read(user, "client-certificate")?,
            key: match user["client-key-data"].as_str() {
                Some(key) => SecretString::from(key),
                None => SecretString::from(STANDARD.encode(read(user, "client-key")?)),
            },
        })
    }

    /// Adds `access` under `name`, or brings what is there up to date; everything else stays as it is.
    ///
    /// # Errors
    /// [`Foreign`] when the name belongs to something else.
    pub fn merged(
        &self,
        name: &str,
        access: &Access,
        current: Current,
        named: &Named<'_>,
    ) -> anyhow::Result<Self> {
        self.refuse_foreign(name, &access.ca, named)?;
        let mut config = self.0.clone();
        let map = config.as_object_mut().context(MISSHAPEN)?;
        for (key, value) in [("apiVersion", "v1"), ("kind", "Config")] {
            map.entry(key).or_insert_with(|| json!(value));
        }
        set(map, "clusters", name, "cluster", |cluster| {
            drop_keys(cluster, &["certificate-authority", "insecure-skip-tls-verify"]);
            cluster.insert("certificate-authority-data".into(), json!(STANDARD.encode(&access.ca)));
            cluster.insert("server".into(), json!(access.server));
            match &access.tls_name {
                Some(tls_name) => drop(cluster.insert("tls-server-name".into(), json!(tls_name))),
                None => drop_keys(cluster, &["tls-server-name"]),
            }
        })?;
        set(map, "contexts", name, "context", |context| {
            context.insert("cluster".into(), json!(name));
            context.insert("user".into(), json!(name));
        })?;
        set(map, "users", name, "user", |user| {
            user.retain(|key, _| key == "extensions" || key.starts_with("client-"));
            drop_keys(user, &["client-certificate", "client-key"]);
            let certificate = STANDARD.encode(&access.certificate);
            user.insert("client-certificate-data".into(), json!(certificate));
            user.insert("client-key-data".into(), json!(secret::text(&access.key)));
        })?;
        if current == Current::Switched || self.current().is_empty() {
            map.insert("current-context".into(), json!(name));
        }
        Ok(Self(config))
    }

    /// Refuses where `name` is taken by something whose CA is another one.
    fn refuse_foreign(&self, name: &str, ca: &[u8], named: &Named<'_>) -> Result<(), Foreign> {
        let foreign = |kind, reason| Err(Foreign { kind, name: name.to_owned(), reason });
        let is_ours = |cluster: &str| {
            let cluster = self.entry("clusters", cluster)?;
            let theirs = content(&cluster["cluster"], "certificate-authority", named)?;
            (theirs.trim_ascii() == ca.trim_ascii()).then_some(())
        };
        let another = "it belongs to a cluster with another CA";
        if self.entry("clusters", name).is_some() && is_ours(name).is_none() {
            return foreign("cluster", another);
        }
        let cluster = |context: &Value| context["context"]["cluster"].as_str().map(str::to_owned);
        if let Some(context) = self.entry("contexts", name)
            && cluster(context).and_then(|cluster| is_ours(&cluster)).is_none()
        {
            return foreign("context", another);
        }
        if self.entry("users", name).is_none() {
            return Ok(());
        }
        let users = self.list("contexts").iter();
        let mut users = users.filter(|context| context["context"]["user"] == name).peekable();
        let known = users.peek().is_some() || is_ours(name).is_some();
        if !known || users.any(|one| cluster(one).and_then(|one| is_ours(&one)).is_none()) {
            return foreign("user", "it is not known to be this cluster's");
        }
        Ok(())
    }

    fn list(&self, list: &str) -> &[Value] {
        self.0[list].as_array().map_or(&[], Vec::as_slice)
    }

    fn entry(&self, list: &str, name: &str) -> Option<&Value> {
        self.list(list).iter().find(|entry| entry["name"] == name)
    }
}

/// `KEY-data`, or the file that `KEY` names.
fn content(value: &Value, key: &str, named: &Named<'_>) -> Option<Vec<u8>> {
    match value[format!("{key}-data")].as_str() {
        Some(data) => STANDARD.decode(data).ok(),
        None => named(value[key].as_str()?),
    }
}

fn drop_keys(map: &mut Map<String, Value>, keys: &[&str]) {
    map.retain(|key, _| !keys.contains(&key.as_str()));
}

/// Changes the entry `name` of `list`, which is added where it is missing.
fn set(
    config: &mut Map<String, Value>,
    list: &str,
    name: &str,
    inner: &str,
    change: impl FnOnce(&mut Map<String, Value>),
) -> anyhow::Result<()> {
    let list = config.entry(list).or_insert_with(|| json!([]));
    if list.is_null() {
        *list = json!([]);
    }
    let entries = list.as_array_mut().context(MISSHAPEN)?;
    let found = entries.iter().position(|entry| entry["name"] == name);
    let index = found.unwrap_or(entries.len());
    if found.is_none() {
        entries.push(json!({ inner: {}, "name": name }));
    }
    let entry = entries.get_mut(index).context(MISSHAPEN)?;
    match &mut entry[inner] {
        Value::Object(map) => change(map),
        empty @ Value::Null => {
            let mut map = Map::new();
            change(&mut map);
            *empty = Value::Object(map);
        }
        _ => bail!("`{inner}` of `{name}` is no map"),
    }
    Ok(())
}
