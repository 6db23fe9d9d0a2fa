//! What keys there are, read out of the schema of the types: for checks and for `oceanid docs`.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::file::File;

/// One key of cluster.toml.
#[derive(Debug)]
pub struct Key {
    /// As it is written.
    pub name: String,
    /// What it means.
    pub meaning: String,
    /// What its value may be.
    pub kind: Kind,
    /// What it is when it is not written.
    pub default: Option<Value>,
    /// Whether it must be written.
    pub need: Need,
}

/// Whether a key must be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It must.
    Required,
    /// It may be left out.
    Optional,
}

/// What a value may be.
#[derive(Debug)]
pub enum Kind {
    /// Any string.
    Text,
    /// A whole number within bounds.
    Integer {
        /// The least.
        least: i64,
        /// The greatest.
        most: i64,
    },
    /// `true` or `false`.
    Switch,
    /// One of these strings, each with its meaning.
    Choice(Vec<(String, String)>),
    /// A list of values of one kind.
    List(Box<Kind>),
    /// A table with keys of the user's choice.
    Map(Box<Kind>),
    /// A table with these keys.
    Section(Vec<Key>),
    /// A reference to a secret.
    Secret,
    /// One of these words, or a reference to a secret.
    ChoiceOrSecret(Vec<String>),
    /// Anything.
    Anything,
}

impl Kind {
    /// The keys, for a table or a list of tables.
    pub fn keys(&self) -> &[Key] {
        match self {
            Self::Section(keys) => keys,
            Self::List(element) => element.keys(),
            _ => &[],
        }
    }
}

/// Every section, in the order in which they are explained.
pub static SECTIONS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let root = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<File>();
    let root = root.as_value();
    keys(root, root)
});

fn keys(root: &Value, table: &Value) -> Vec<Key> {
    let properties = table.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().map(|(name, schema)| key(root, name, schema)).collect()
}

fn key(root: &Value, name: &str, schema: &Value) -> Key {
    let kind = kind(root, schema);
    let default = schema.get("default").filter(|value| speaks(value, &kind)).cloned();
    let required = schema.get("x-required").is_some();
    let need = if required { Need::Required } else { Need::Optional };
    Key { name: name.to_owned(), meaning: text(schema, "description"), kind, default, need }
}

/// Whether a default says something: `null`, an empty list and a section's sum of keys do not.
fn speaks(default: &Value, kind: &Kind) -> bool {
    let empty = default.as_array().is_some_and(Vec::is_empty);
    !default.is_null() && !empty && !default.is_object() && kind.keys().is_empty()
}

fn kind(root: &Value, schema: &Value) -> Kind {
    if let Some(words) = choice_or_secret(root, schema) {
        return Kind::ChoiceOrSecret(words);
    }
    let schema = resolve(root, schema);
    if schema.get("x-secret").is_some() {
        return Kind::Secret;
    }
    if let Some(choices) = choices(schema) {
        return Kind::Choice(choices);
    }
    match type_name(schema) {
        "string" => Kind::Text,
        "integer" => integer(schema),
        "boolean" => Kind::Switch,
        "array" => Kind::List(Box::new(inner(root, schema, "items"))),
        "object" if schema.get("properties").is_some() => Kind::Section(keys(root, schema)),
        "object" => Kind::Map(Box::new(inner(root, schema, "additionalProperties"))),
        _ => Kind::Anything,
    }
}

/// The words that may stand in place of a secret's reference, where that is so.
fn choice_or_secret(root: &Value, schema: &Value) -> Option<Vec<String>> {
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
    let schema = target.and_then(|path| root.pointer(path)).unwrap_or(schema);
    schema.get("x-choice-or-secret")?;
    let first = resolve(root, schema.get("anyOf")?.get(0)?);
    Some(choices(first)?.into_iter().map(|(name, _)| name).collect())
}

fn inner(root: &Value, schema: &Value, field: &str) -> Kind {
    schema.get(field).map_or(Kind::Anything, |inner| kind(root, inner))
}

/// Follows references, and looks behind the `null` of what may be left out.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
    if let Some(found) = target.and_then(|path| root.pointer(path)) {
        return resolve(root, found);
    }
    let either = schema.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    match either.into_iter().find(|one| type_name(one) != "null") {
        Some(found) => resolve(root, found),
        None => schema,
    }
}

fn type_name(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(name)) => name,
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or_default()
        }
        _ => "",
    }
}

fn choices(schema: &Value) -> Option<Vec<(String, String)>> {
    let plain = |value: &Value| Some((value.as_str()?.to_owned(), String::new()));
    if let Some(names) = schema.get("enum").and_then(Value::as_array) {
        return names.iter().map(plain).collect();
    }
    let described = |one: &Value| {
        let name = one.get("const")?.as_str()?;
        Some((name.to_owned(), text(one, "description")))
    };
    schema.get("oneOf")?.as_array()?.iter().map(described).collect()
}

fn integer(schema: &Value) -> Kind {
    let bound = |field| schema.get(field).and_then(Value::as_i64);
    Kind::Integer {
        least: bound("minimum").unwrap_or(i64::MIN),
        most: bound("maximum").unwrap_or(i64::MAX),
    }
}

/// The text of a doc comment, its lines joined.
fn text(schema: &Value, field: &str) -> String {
    let empty = Map::new();
    let table = schema.as_object().unwrap_or(&empty);
    let text = table.get(field).and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
