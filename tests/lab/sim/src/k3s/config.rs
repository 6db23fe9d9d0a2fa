//! The configuration file and its drop-ins, turned into flags as k3s turns them.

use super::flags::{self, Options, Role};
use anyhow::{Context, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Reads the command line of `role` with the configuration file below it.
///
/// # Errors
/// The file cannot be read or is no map of scalars and lists.
pub fn arguments(role: Role, command_line: &[String]) -> anyhow::Result<Vec<String>> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for file in files(command_line)? {
        merge(&mut found, read(&file)?);
    }
    let mut arguments = Vec::new();
    for (key, values) in found {
        // A list on the command line replaces the one in the file.
        if flags::is_list(role, &key) && given(command_line, &key) {
            continue;
        }
        arguments.extend(values.into_iter().map(|value| format!("--{key}={value}")));
    }
    arguments.extend_from_slice(command_line);
    Ok(arguments)
}

/// Reads the options of `role`; a mistake is said as k3s says it.
///
/// # Errors
/// [`Refusal::Usage`] for a flag or key that does not exist, [`Refusal::Other`] for the rest.
pub fn options(role: Role, command_line: &[String]) -> Result<Options, Refusal> {
    let arguments = arguments(role, command_line).map_err(Refusal::Other)?;
    flags::parse(role, &arguments).map_err(Refusal::Usage)
}

/// Why k3s does not start.
#[derive(Debug)]
pub enum Refusal {
    /// A flag that does not exist, or a value that it cannot have.
    Usage(String),
    /// An unreadable file.
    Other(anyhow::Error),
}

fn files(command_line: &[String]) -> anyhow::Result<Vec<PathBuf>> {
    let named = named_file(command_line).or_else(|| env::var("K3S_CONFIG_FILE").ok());
    let explicit = named.is_some();
    let main = PathBuf::from(named.unwrap_or_else(|| "/etc/rancher/k3s/config.yaml".to_owned()));
    let mut files = Vec::new();
    if main.exists() {
        files.push(main.clone());
    } else if explicit {
        bail!("stat {}: no such file or directory", main.display());
    }
    let mut folder = main.into_os_string();
    folder.push(".d");
    let mut dropped: Vec<PathBuf> = fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    dropped.retain(|path| path.extension().is_some_and(|end| end == "yaml" || end == "yml"));
    dropped.sort();
    files.extend(dropped);
    Ok(files)
}

fn named_file(command_line: &[String]) -> Option<String> {
    let mut rest = command_line.iter();
    while let Some(argument) = rest.next() {
        if let Some(value) = argument.strip_prefix("--config=").or(argument.strip_prefix("-c=")) {
            return Some(value.to_owned());
        }
        if argument == "--config" || argument == "-c" {
            return rest.next().cloned();
        }
    }
    None
}

fn given(command_line: &[String], key: &str) -> bool {
    let flag = format!("--{key}");
    command_line
        .iter()
        .any(|argument| *argument == flag || argument.starts_with(&format!("{flag}=")))
}

fn merge(found: &mut Vec<(String, Vec<String>)>, read: Vec<(String, Vec<String>)>) {
    for (key, values) in read {
        let name = key.trim_end_matches('+').to_owned();
        match found.iter_mut().find(|(known, _)| *known == name) {
            Some((_, kept)) if key.ends_with('+') => kept.extend(values),
            Some((_, kept)) => *kept = values,
            None => found.push((name, values)),
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<(String, Vec<String>)>> {
    let text = fs::read_to_string(path).with_context(|| format!("open {}", path.display()))?;
    parse(&text).with_context(|| format!("failed to read {}", path.display()))
}

fn parse(text: &str) -> anyhow::Result<Vec<(String, Vec<String>)>> {
    // k3s reads YAML 1.1: a bare 0600 is the number 384, a bare `yes` is true.
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    let value: Value = serde_saphyr::from_str_with_options(text, options)?;
    let map = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Object(map) => map,
        _ => bail!("yaml: unmarshal errors: cannot unmarshal into a map"),
    };
    map.into_iter()
        .map(|(key, value)| match value {
            Value::Array(items) => {
                Ok((key, items.iter().map(scalar).collect::<anyhow::Result<Vec<String>>>()?))
            }
            other => Ok((key, vec![scalar(&other)?])),
        })
        .collect()
}

fn scalar(value: &Value) -> anyhow::Result<String> {
    Ok(match value {
        Value::Null => String::new(),
        Value::Bool(on) => on.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => bail!("a value is neither a scalar nor a list"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_mode_is_an_octal_number_and_a_quoted_one_is_text() {
        let read = parse("write-kubeconfig-mode: 0600\nother: \"0600\"\n").expect("yaml");
        assert_eq!(read[0].1, ["384"]);
        assert_eq!(read[1].1, ["0600"]);
    }

    #[test]
    fn yes_is_true_as_in_yaml_1_1() {
        assert_eq!(parse("cluster-init: yes\n").expect("yaml")[0].1, ["true"]);
    }

    #[test]
    fn drop_ins_replace_and_plus_appends() {
        let mut found = parse("tls-san: [a]\nnode-label: [x=1]\n").expect("yaml");
        merge(&mut found, parse("tls-san: [b]\nnode-label+: [y=2]\n").expect("yaml"));
        assert_eq!(found[0].1, ["b"]);
        assert_eq!(found[1].1, ["x=1", "y=2"]);
    }

    #[test]
    fn an_empty_file_sets_nothing() {
        assert!(parse("").expect("yaml").is_empty());
        assert!(parse("# nothing\n").expect("yaml").is_empty());
    }
}
