//! What may stand in a query and in a body, and what must.

use super::Request;
use super::reply::Refusal;
use serde_json::Value;

/// What a field may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string that is not empty.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Switch,
    /// A list.
    List,
    /// A table.
    Table,
}

/// A field of a body.
#[derive(Debug, Clone, Copy)]
pub struct Field(pub &'static str, pub Kind, pub Need);

/// Whether a field must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It must.
    Required,
    /// It may be left out.
    Optional,
}

/// Refuses a body that has other fields, lacks one, or has one of another kind.
pub fn body(body: &Value, fields: &[Field]) -> Result<(), Refusal> {
    let Value::Object(table) = body else {
        return Err(Refusal::new(400, 6003, "request body must be a JSON object"));
    };
    for (name, value) in table {
        let pointer = format!("/{name}");
        let Some(Field(_, kind, _)) = fields.iter().find(|field| field.0 == name) else {
            let text = format!("unknown field \"{name}\"");
            return Err(Refusal::new(400, 1001, text).at(&pointer));
        };
        if !fits(value, *kind) {
            let text = format!("field \"{name}\" has the wrong type");
            return Err(Refusal::new(400, 1001, text).at(&pointer));
        }
    }
    let missing = |field: &&Field| field.2 == Need::Required && !table.contains_key(field.0);
    match fields.iter().find(missing) {
        None => Ok(()),
        Some(Field(name, ..)) => {
            let text = format!("field \"{name}\" is required");
            Err(Refusal::new(400, 1001, text).at(&format!("/{name}")))
        }
    }
}

fn fits(value: &Value, kind: Kind) -> bool {
    match kind {
        Kind::Text => value.as_str().is_some_and(|text| !text.is_empty()),
        Kind::Number => value.is_u64(),
        Kind::Switch => value.is_boolean(),
        Kind::List => value.is_array(),
        Kind::Table => value.is_object(),
    }
}

/// Refuses a query with other parameters.
pub fn query(request: &Request, known: &[&str]) -> Result<(), Refusal> {
    let other = request.query.iter().find(|(name, _)| !known.contains(&name.as_str()));
    match other {
        None => Ok(()),
        Some((name, _)) => {
            Err(Refusal::new(400, 1004, format!("unknown query parameter \"{name}\"")))
        }
    }
}
