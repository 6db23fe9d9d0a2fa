//! `kubectl get` and `kubectl wait`.

use super::arguments::Arguments;
use super::{Api, collection, resource};
use crate::clock;
use crate::log;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const AS_TABLE: &[(&str, &str)] =
    &[("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")];

/// Runs `kubectl get`.
pub async fn run(arguments: &Arguments, api: &Api) -> Result<(), String> {
    if let Some(path) = arguments.flag("raw") {
        let answer = api.send("GET", path, &[], String::new()).await?;
        use std::io::Write;
        let _ = std::io::stdout().write_all(&answer.body);
        return Ok(());
    }
    let (kind, names) = operands(arguments)?;
    let kind = resource(&kind)?;
    let base = collection(kind, arguments);
    let mut paths: Vec<String> = names.iter().map(|name| format!("{base}/{name}")).collect();
    if paths.is_empty() {
        paths.push(format!("{base}{}", query(arguments)));
    }
    let mut objects = Vec::new();
    let mut failures = Vec::new();
    for path in &paths {
        let accept = if plain(arguments) { AS_TABLE } else { &[] };
        match api.send("GET", path, accept, String::new()).await {
            Ok(answer) => {
                objects.push(serde_json::from_slice::<Value>(&answer.body).unwrap_or_default());
            }
            Err(message)
                if message.contains("(NotFound)")
                    && arguments.flag("ignore-not-found").is_some() => {}
            Err(message) => failures.push(message),
        }
    }
    print(arguments, kind.plural, &objects, !names.is_empty())?;
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

fn plain(arguments: &Arguments) -> bool {
    matches!(arguments.flag("output"), None | Some("wide"))
}

// `nodes styx`, `node/styx node/meliae` and `nodes` alike.
fn operands(arguments: &Arguments) -> Result<(String, Vec<String>), String> {
    let words = arguments.operands();
    let first = words.first().ok_or(
        "You must specify the type of resource to get. Use \"kubectl api-resources\" for a complete list of supported resources.",
    )?;
    match first.split_once('/') {
        Some((kind, _)) => {
            let names = words.iter().filter_map(|word| word.split_once('/'));
            Ok((kind.to_owned(), names.map(|(_, name)| name.to_owned()).collect()))
        }
        None => Ok((first.clone(), words.iter().skip(1).cloned().collect())),
    }
}

fn query(arguments: &Arguments) -> String {
    let pairs = [("labelSelector", "selector"), ("fieldSelector", "field-selector")];
    let parts: Vec<String> = pairs
        .iter()
        .filter_map(|(key, flag)| {
            let value = arguments.flag(flag)?.replace('%', "%25").replace('&', "%26");
            Some(format!("{key}={}", value.replace(' ', "%20").replace('#', "%23")))
        })
        .collect();
    if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
}

fn print(
    arguments: &Arguments,
    plural: &str,
    objects: &[Value],
    named: bool,
) -> Result<(), String> {
    match arguments.flag("output") {
        None | Some("wide") => {
            print_table(arguments, objects);
            Ok(())
        }
        Some("json") => {
            let shown = match objects {
                [] => return Ok(()),
                [one] => with_types(one),
                many => json!({ "apiVersion": "v1", "items": many, "kind": "List",
                    "metadata": { "resourceVersion": "" } }),
            };
            log::out(
                serde_json::to_string_pretty(&shown).unwrap_or_default().replace("\n  ", "\n    "),
            );
            Ok(())
        }
        Some("name") => {
            let singular = resource(plural)?.kind.to_lowercase();
            let items = |one: &Value| {
                if named {
                    vec![one.clone()]
                } else {
                    one["items"].as_array().cloned().unwrap_or_default()
                }
            };
            for object in objects.iter().flat_map(items) {
                log::out(format!(
                    "{singular}/{}",
                    object["metadata"]["name"].as_str().unwrap_or_default()
                ));
            }
            Ok(())
        }
        Some(other) => Err(format!(
            "error: unable to match a printer suitable for the output format {other:?}, allowed formats are: json,name,wide"
        )),
    }
}

// kubectl calls what it listed a List, whose items say what they are.
fn with_types(object: &Value) -> Value {
    let Some(items) = object["items"].as_array() else { return object.clone() };
    let kind = object["kind"].as_str().unwrap_or_default().trim_end_matches("List");
    let items: Vec<Value> = items
        .iter()
        .map(|item| {
            let mut typed = json!({ "apiVersion": object["apiVersion"], "kind": kind });
            if let (Some(typed), Some(map)) = (typed.as_object_mut(), item.as_object()) {
                typed.extend(map.clone());
            }
            typed
        })
        .collect();
    json!({ "apiVersion": "v1", "items": items, "kind": "List", "metadata": { "resourceVersion": "" } })
}

fn print_table(arguments: &Arguments, tables: &[Value]) {
    let wide = arguments.flag("output") == Some("wide");
    let columns: Vec<&Value> = tables
        .first()
        .and_then(|table| table["columnDefinitions"].as_array())
        .into_iter()
        .flatten()
        .collect();
    let shown: Vec<bool> = columns.iter().map(|column| wide || column["priority"] == 0).collect();
    let mut lines: Vec<Vec<String>> = Vec::new();
    let pick = |cells: Vec<String>| -> Vec<String> {
        cells.into_iter().zip(&shown).filter(|(_, shown)| **shown).map(|(cell, _)| cell).collect()
    };
    for row in tables.iter().flat_map(|table| table["rows"].as_array().into_iter().flatten()) {
        let cells = row["cells"].as_array().into_iter().flatten();
        let mut line =
            pick(cells.map(|cell| cell.as_str().unwrap_or_default().to_owned()).collect());
        if arguments.flag("show-labels").is_some() {
            let labels = row["object"]["metadata"]["labels"].as_object().into_iter().flatten();
            let texts: Vec<String> = labels
                .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
                .collect();
            line.push(texts.join(","));
        }
        lines.push(line);
    }
    if lines.is_empty() {
        if !tables.is_empty() {
            log::plain("No resources found");
        }
        return;
    }
    if arguments.flag("no-headers").is_none() {
        let name = |column: &&Value| column["name"].as_str().unwrap_or_default().to_uppercase();
        let mut header = pick(columns.iter().map(name).collect());
        if arguments.flag("show-labels").is_some() {
            header.push("LABELS".to_owned());
        }
        lines.insert(0, header);
    }
    align(&lines);
}

fn align(lines: &[Vec<String>]) {
    let count = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |index: usize| {
        lines.iter().filter_map(|line| line.get(index)).map(String::len).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    for line in lines {
        let last = line.len().saturating_sub(1);
        let cells = line.iter().zip(&widths).enumerate().map(|(index, (cell, width))| {
            if index == last { cell.clone() } else { format!("{cell:width$}   ") }
        });
        log::out(cells.collect::<String>());
    }
}

/// Runs `kubectl wait --for=condition=Ready node/NAME`.
pub async fn wait(arguments: &Arguments, api: &Api) -> Result<(), String> {
    let (kind, names) = operands(arguments)?;
    let base = collection(resource(&kind)?, arguments);
    let wanted = arguments.flag("for").and_then(|text| text.strip_prefix("condition="));
    let wanted = wanted.ok_or("error: --for must be given as condition=NAME")?;
    let (condition, status) = wanted.split_once('=').unwrap_or((wanted, "True"));
    let limit = arguments.flag("timeout").and_then(clock::go_duration);
    let limit =
        limit.and_then(|span| Duration::try_from(span).ok()).unwrap_or(Duration::from_secs(30));
    let begun = Instant::now();
    for name in names {
        loop {
            let object = api.object(&format!("{base}/{name}")).await?;
            let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
            if all.iter().any(|one| one["type"] == condition && one["status"] == status) {
                log::out(format!("{}/{name} condition met", resource(&kind)?.kind.to_lowercase()));
                break;
            }
            if begun.elapsed() > limit {
                return Err(format!("error: timed out waiting for the condition on {kind}/{name}"));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}
