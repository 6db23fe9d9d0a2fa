//! What server-side apply would do to a live object, found out by reading alone.

use serde_json::{Value, json};

use super::fields::{self, Owner, Path};
use super::object::{MADE, Object};

/// How a wanted object and a live one differ.
#[derive(Debug, Default)]
pub struct Difference {
    /// Fields that are wanted otherwise, or that nobody set in our name.
    pub fields: Vec<Path>,
    /// Fields that are ours and wanted no more.
    pub released: Vec<Path>,
    /// Fields that another manager set to something else: `(field, manager)`.
    pub conflicts: Vec<(String, String)>,
    /// Whether nothing of it was ours.
    pub adopted: bool,
}

impl Difference {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.released.is_empty() && self.conflicts.is_empty()
    }
}

/// Compares `wanted`, as [`to_send`] makes it, with what the API has.
#[must_use]
pub fn compare(wanted: &Value, live: &Value) -> Difference {
    let owners = fields::owners(live);
    let ours = owned(&owners);
    let mut difference = Difference { adopted: ours.is_empty(), ..Difference::default() };
    let wanted_fields = fields::set_by(wanted);
    for path in &wanted_fields {
        let want = fields::at(wanted, path).unwrap_or(&Value::Null);
        let holds = fields::at(live, path).is_some_and(|live| covers(want, live));
        if !holds {
            let rival = owners.iter().find(|owner| {
                !owner.ours
                    && fields::at(live, path).is_some()
                    && fields::touches(&owner.fields, path)
            });
            if let Some(rival) = rival {
                difference.conflicts.push((fields::shown(path), rival.manager.clone()));
            }
        }
        if !holds || !fields::touches(&ours, path) {
            difference.fields.push(path.clone());
        }
    }
    difference.released =
        ours.into_iter().filter(|path| !fields::touches(&wanted_fields, path)).collect();
    difference
}

/// What is ours of a live object.
#[must_use]
pub fn own(live: &Value) -> Vec<Path> {
    owned(&fields::owners(live))
}

fn owned(owners: &[Owner]) -> Vec<Path> {
    let ours = owners.iter().filter(|owner| owner.ours);
    ours.flat_map(|owner| owner.fields.iter().cloned()).collect()
}

/// Whether `live` is what is wanted; what the API fills in beside it does not count.
fn covers(want: &Value, live: &Value) -> bool {
    match (want, live) {
        (Value::Object(want), Value::Object(live)) => {
            want.iter().all(|(key, value)| live.get(key).is_some_and(|live| covers(value, live)))
        }
        (Value::Array(want), Value::Array(live)) => {
            want.len() == live.len() && want.iter().zip(live).all(|(want, live)| covers(want, live))
        }
        (want, live) => want == live,
    }
}

/// What is sent for `wanted`: a mark says that we made it, unless it was there before us.
#[must_use]
pub fn to_send(wanted: &Object, live: Option<&Object>) -> Value {
    let mut body = wanted.body.clone();
    let ours = wanted.mark("labels", super::object::MANAGED_BY).is_some();
    let made = live.is_none_or(|live| live.mark("annotations", MADE).is_some());
    if ours
        && made
        && let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut)
    {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(MADE.to_owned(), json!("true"));
        }
    }
    body
}

/// What we had sent for a live object, to send it again.
#[must_use]
pub fn sent_before(live: &Object) -> Value {
    let mut body = live.bare();
    let ours = fields::extract(&live.body, &own(&live.body));
    merge(&mut body, Value::Object(ours));
    body
}

fn merge(target: &mut Value, more: Value) {
    match (target, more) {
        (Value::Object(target), Value::Object(more)) => {
            for (key, value) in more {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
        (target, more) => *target = more,
    }
}
