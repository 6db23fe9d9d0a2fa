//! config.yml: what is in it, and which of its keys nobody uses.

use super::flags::Invocation;
use serde_json::{Map, Value};
use std::fs;

/// The folders in which cloudflared looks for a configuration that no flag names.
const FOLDERS: &[&str] = &["/root/.cloudflared", "/etc/cloudflared", "/usr/local/etc/cloudflared"];

/// Keys of a rule.
const RULE: &[&str] = &["hostname", "path", "service", "originRequest"];

/// Keys of `originRequest`.
pub const ORIGIN: &[&str] = &[
    "connectTimeout",
    "tlsTimeout",
    "tcpKeepAlive",
    "noHappyEyeballs",
    "keepAliveConnections",
    "keepAliveTimeout",
    "httpHostHeader",
    "originServerName",
    "matchSNItoHost",
    "caPool",
    "noTLSVerify",
    "disableChunkedEncoding",
    "bastionMode",
    "proxyAddress",
    "proxyPort",
    "proxyType",
    "ipRules",
    "http2Origin",
    "access",
];

/// A configuration file that was read.
#[derive(Debug, Default)]
pub struct Config {
    /// Where it is; empty where there is none.
    pub source: String,
    /// All that is in it.
    pub keys: Map<String, Value>,
    /// The rules as they are written.
    pub ingress: Vec<Value>,
    /// Lines about keys that nobody uses.
    pub unused: Vec<String>,
}

impl Config {
    /// Returns a key's text.
    pub fn text(&self, key: &str) -> Option<String> {
        match self.keys.get(key)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(on) => Some(on.to_string()),
            _ => None,
        }
    }
}

/// Reads the file that the flags name, else the first that is where it is looked for.
///
/// # Errors
/// There is none, or it is not what it should be.
pub fn read(invocation: &Invocation) -> Result<Config, String> {
    let none = || {
        "No configuration file was found. Please create one, or use the --config flag to specify \
         its filepath. You can use the help command to learn more about configuration files"
            .to_owned()
    };
    let named = invocation.flag("config");
    let found = || {
        let files = FOLDERS.iter().flat_map(|folder| {
            ["config.yml", "config.yaml"].map(|name| format!("{folder}/{name}"))
        });
        files.into_iter().find(|file| fs::exists(file).unwrap_or(false))
    };
    let Some(source) = named.or_else(found) else { return Err(none()) };
    let text = match fs::read_to_string(&source) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(none()),
        Err(error) => return Err(format!("open {source}: {error}")),
    };
    parse(&source, &text)
}

/// Reads the file if there is one: a tunnel runs by a token alone, too.
///
/// # Errors
/// It is not what it should be, or the one that was named is not there.
pub fn maybe(invocation: &Invocation) -> Result<Config, String> {
    match read(invocation) {
        Err(why)
            if why.starts_with("No configuration file") && invocation.flag("config").is_none() =>
        {
            Ok(Config::default())
        }
        other => other,
    }
}

fn parse(source: &str, text: &str) -> Result<Config, String> {
    let wrong = |why: String| format!("error parsing YAML in config file at {source}: {why}");
    let value: Value =
        serde_saphyr::from_str(text).map_err(|error| wrong(format!("yaml: {error}")))?;
    let keys = match value {
        Value::Object(keys) => keys,
        // As the real one: an empty file is no configuration.
        Value::Null => return Ok(Config::default()),
        _ => return Err(wrong("yaml: unmarshal errors: cannot unmarshal !!str into map".into())),
    };
    let ingress = match keys.get("ingress") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(rules)) => rules.clone(),
        Some(_) => return Err(wrong(
            "yaml: unmarshal errors: cannot unmarshal !!map into []config.UnvalidatedIngressRule"
                .into(),
        )),
    };
    let mut unused = Vec::new();
    for rule in &ingress {
        let Value::Object(rule) = rule else {
            return Err(wrong(
                "yaml: unmarshal errors: cannot unmarshal !!str into config.UnvalidatedIngressRule"
                    .into(),
            ));
        };
        strange(rule, RULE, "config.UnvalidatedIngressRule", text, &mut unused);
        origin(rule.get("originRequest"), text, &mut unused).map_err(wrong)?;
    }
    origin(keys.get("originRequest"), text, &mut unused).map_err(wrong)?;
    Ok(Config { source: source.to_owned(), ingress, unused, keys })
}

fn origin(value: Option<&Value>, text: &str, unused: &mut Vec<String>) -> Result<(), String> {
    let Some(Value::Object(keys)) = value else { return Ok(()) };
    strange(keys, ORIGIN, "config.OriginRequestConfig", text, unused);
    for (key, value) in
        keys.iter().filter(|(key, _)| key.ends_with("Timeout") || *key == "tcpKeepAlive")
    {
        let whole = value.as_str().is_some_and(|text| crate::clock::go_duration(text).is_some());
        if !whole {
            return Err(format!(
                "yaml: unmarshal errors: cannot unmarshal {value} of {key} into time.Duration"
            ));
        }
    }
    for key in ["noTLSVerify", "http2Origin", "disableChunkedEncoding", "noHappyEyeballs"] {
        if keys.get(key).is_some_and(|value| !value.is_boolean()) {
            return Err(format!("yaml: unmarshal errors: cannot unmarshal {key} into bool"));
        }
    }
    Ok(())
}

/// Notes keys that the type does not have, as a strict decoder does.
fn strange(
    keys: &Map<String, Value>,
    known: &[&str],
    kind: &str,
    text: &str,
    out: &mut Vec<String>,
) {
    for key in keys.keys().filter(|key| !known.contains(&key.as_str())) {
        let start = |line: &str| {
            line.trim_start_matches([' ', '-']).trim_start_matches('"').starts_with(key.as_str())
        };
        let line = text.lines().position(start).map_or(0, |at| at + 1);
        out.push(format!("  line {line}: field {key} not found in type {kind}"));
    }
}
