//! Wanted objects against live ones: what is applied, what is let go of, what is left alone.

use std::sync::Arc;

use oceanid::action::{Action as _, Answer, Change};
use oceanid::actions::{Objects, Removed};
use oceanid::kube::compare::{compare, sent_before, to_send};
use oceanid::kube::object::{KINDS, Object};
use oceanid::kube::survey::Survey;
use oceanid::remote::Output;
use proptest::prelude::*;
use serde_json::{Value, json};

const TEXT: &str = "[a-z]{1,5}";

/// A namespace as the API has it once `labels` were applied by us.
fn live(labels: &Value, more: &Value) -> Value {
    let fields: serde_json::Map<String, Value> = labels
        .as_object()
        .expect("labels")
        .keys()
        .map(|key| (format!("f:{key}"), json!({})))
        .collect();
    let mut managed = vec![json!({ "manager": "oceanid", "operation": "Apply",
        "fieldsV1": { "f:metadata": { "f:labels": fields } } })];
    if labels == &json!({}) {
        managed.clear();
    }
    managed.extend(more.as_array().into_iter().flatten().cloned());
    json!({ "apiVersion": "v1", "kind": "Namespace", "spec": { "finalizers": ["kubernetes"] },
        "metadata": { "name": "dmz", "uid": "7", "labels": labels, "managedFields": managed } })
}

fn wanted(labels: &Value) -> Object {
    let body = json!({ "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": "dmz", "labels": labels } });
    Object::parse(body).expect("an object")
}

fn foreign(field: &str) -> Value {
    json!([{ "manager": "kubectl-edit", "operation": "Update",
        "fieldsV1": { "f:metadata": { "f:labels": { field: {} } } } }])
}

#[test]
fn an_object_that_is_as_wanted_does_not_differ() {
    let labels = json!({ "a": "1", "b": "2" });
    assert!(compare(&wanted(&labels).body, &live(&labels, &json!([]))).is_empty());
}

#[test]
fn a_value_of_another_manager_is_a_conflict_and_one_that_nobody_set_is_not() {
    let mut changed = live(&json!({ "a": "1" }), &foreign("f:a"));
    changed["metadata"]["labels"]["a"] = json!("theirs");
    let difference = compare(&wanted(&json!({ "a": "1" })).body, &changed);
    let conflict = (String::from(".metadata.labels.a"), String::from("kubectl-edit"));
    assert_eq!(difference.conflicts, [conflict]);
    let mut gone = live(&json!({ "a": "1" }), &json!([]));
    gone["metadata"]["labels"] = json!({});
    let difference = compare(&wanted(&json!({ "a": "1" })).body, &gone);
    assert!(difference.conflicts.is_empty() && !difference.is_empty());
}

#[test]
fn the_same_value_of_another_manager_is_taken_along_without_a_conflict() {
    let mut theirs = live(&json!({}), &foreign("f:a"));
    theirs["metadata"]["labels"]["a"] = json!("1");
    let difference = compare(&wanted(&json!({ "a": "1" })).body, &theirs);
    assert!(difference.conflicts.is_empty() && difference.adopted && !difference.is_empty());
}

#[test]
fn who_only_made_a_map_does_not_own_what_is_in_it() {
    let mut theirs = live(&json!({ "a": "1" }), &foreign("."));
    theirs["metadata"]["labels"]["a"] = json!("2");
    assert!(compare(&wanted(&json!({ "a": "1" })).body, &theirs).conflicts.is_empty());
}

#[test]
fn what_is_ours_and_wanted_no_more_is_let_go_of() {
    let difference = compare(
        &wanted(&json!({ "a": "1" })).body,
        &live(&json!({ "a": "1", "b": "2" }), &json!([])),
    );
    assert_eq!(difference.released, [["f:metadata", "f:labels", "f:b"].map(str::to_owned)]);
}

#[test]
fn only_what_we_made_is_marked_as_made() {
    let labels = json!({ "app.kubernetes.io/managed-by": "oceanid" });
    let found = Object::parse(live(&json!({ "team": "blue" }), &json!([]))).expect("an object");
    assert!(to_send(&wanted(&labels), Some(&found))["metadata"].get("annotations").is_none());
    let made = to_send(&wanted(&labels), None);
    assert_eq!(made["metadata"]["annotations"]["oceanid.io/made"], "true");
}

proptest! {
    /// Undo sends what was ours before: then nothing of it differs.
    #[test]
    fn what_we_had_sent_is_found_in_the_live_object(
        labels in proptest::collection::btree_map(TEXT, TEXT, 1..5),
    ) {
        let labels = json!(labels);
        let object = Object::parse(live(&labels, &json!([]))).expect("an object");
        let before = sent_before(&object);
        prop_assert_eq!(&before["metadata"]["labels"], &labels);
        prop_assert!(before.get("spec").is_none());
        prop_assert!(compare(&before, &object.body).is_empty());
    }
}

/// The answers to a survey: every kind is empty but for these.
fn answers(survey: &Survey, found: &[(&str, &Value)]) -> Answer {
    let script = survey.script();
    let urls = script.split_whitespace().filter(|word| word.contains("https://127.0.0.1"));
    let mut stdout = String::new();
    for url in urls {
        let path = url.trim_matches('\'').split("6443").nth(1).expect("a path");
        let path = path.split('?').next().expect("a path");
        let items: Vec<&Value> =
            found.iter().filter(|(of, _)| *of == path).map(|(_, object)| *object).collect();
        stdout.push_str(&format!("{}\n200\n", json!({ "kind": "List", "items": items })));
    }
    Answer::Script(Output { stdout, ..Output::default() })
}

fn zone() -> Value {
    json!({ "app.kubernetes.io/managed-by": "oceanid", "oceanid.io/zone": "dmz" })
}

fn sent(change: &Change) -> String {
    format!("{}{:?}", change.apply.text(), change.apply.body())
}

#[test]
fn an_object_with_a_conflict_is_left_alone_and_named_and_others_go_on() {
    let survey = Arc::new(Survey::of(&[]));
    let other = json!({ "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": "data", "labels": zone() } });
    let all = vec![wanted(&zone()), Object::parse(other).expect("an object")];
    let action = Objects::new("zones", all, &survey);
    let mut theirs = live(&zone(), &foreign("f:oceanid.io/zone"));
    theirs["metadata"]["labels"]["oceanid.io/zone"] = json!("mine");
    let seen = [answers(&survey, &[("/api/v1/namespaces", &theirs)])];
    let change = action.diff(&seen).expect("readable").expect("one is missing");
    assert_eq!(change.summary, "create 1");
    assert!(sent(&change).contains("/api/v1/namespaces/data?"));
    assert!(!sent(&change).contains("/api/v1/namespaces/dmz?") && !sent(&change).contains("force"));
    let notes = action.notes(&seen).join("\n");
    let named =
        "namespace dmz is left alone: `kubectl-edit` set `.metadata.labels.oceanid.io/zone`";
    assert!(notes.starts_with(named), "{notes}");
}

#[test]
fn only_what_we_made_is_deleted_and_no_namespace_is() {
    let survey = Arc::new(Survey::of(&[]));
    let quota = |name: &str, made: bool| {
        let mut object = live(&zone(), &json!([]));
        object["metadata"]["name"] = json!(name);
        object["metadata"]["namespace"] = json!("dmz");
        if made {
            object["metadata"]["annotations"] = json!({ "oceanid.io/made": "true" });
        }
        object
    };
    let (made, found, mut foreign) =
        (quota("made", true), quota("found", false), quota("x", false));
    foreign["metadata"]["managedFields"] = json!([]);
    let space = live(&zone(), &json!([]));
    let list = "/api/v1/resourcequotas";
    let seen = [(list, &made), (list, &found), (list, &foreign), ("/api/v1/namespaces", &space)];
    let action = Removed::but(Vec::new(), &survey);
    let seen = [answers(&survey, &seen)];
    let change = action.diff(&seen).expect("readable").expect("two are ours");
    assert_eq!(change.summary, "delete 1, let go of 1");
    let text = sent(&change);
    assert_eq!(text.matches("request = DELETE").count(), 1, "{text}");
    assert!(text.contains("resourcequotas/made?") && text.contains("resourcequotas/found?"));
    assert!(!text.contains("resourcequotas/x?") && !text.contains("/namespaces/dmz?"), "{text}");
    let note = "namespace dmz is wanted no more and stays";
    assert!(action.notes(&seen).iter().any(|said| said.starts_with(note)));
}

#[test]
fn an_api_that_does_not_answer_is_a_forecast() {
    let survey = Arc::new(Survey::of(&[]));
    let action = Objects::new("zones", vec![wanted(&zone())], &survey);
    let seen = [Answer::Script(Output { status: 7, ..Output::default() })];
    let change = action.diff(&seen).expect("a forecast").expect("nothing is there");
    assert_eq!(change.summary, "create 1, once the API answers");
    assert!(Removed::but(Vec::new(), &survey).diff(&seen).expect("a forecast").is_none());
}

#[test]
fn one_process_asks_for_every_kind() {
    let script = Survey::of(&[]).script();
    assert_eq!(script.matches("curl ").count(), 1, "{script}");
    for kind in KINDS {
        assert!(script.contains(&kind.path()), "{}", kind.name);
    }
    assert!(!script.contains("/secrets"));
}
