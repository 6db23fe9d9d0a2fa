//! config.yaml as oceanid writes it is read back the same by a reader of YAML 1.2 and one of YAML 1.1.

use std::io::Write as _;
use std::process::{Command, Stdio};

use oceanid::k3s_settings;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

/// Words that YAML 1.1, which k3s reads, takes for something else than text.
const WORDS: &[&str] = &[
    "0600",
    "yes",
    "no",
    "on",
    "off",
    "y",
    "N",
    "True",
    "null",
    "~",
    "",
    "1e3",
    "1_000",
    "0x1F",
    "0b11",
    "0o17",
    "12:30:45",
    "190:20:30",
    "2001-12-14",
    "2001-12-14t21:59:43.10-05:00",
    ".inf",
    "-.INF",
    ".NaN",
    "=",
    "<<",
    "-",
    "- a",
    "a: b",
    "a #b",
    "#a",
    "&a",
    "*a",
    "!a",
    "%a",
    "@a",
    "`a",
    "|",
    ">",
    "{a}",
    "[a]",
    "a,b",
    "'",
    "\"",
    "it's",
    "\\",
    " a ",
    "a\nb",
    "\n",
    "a\t",
    "\u{e9}\u{1f600}",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "\u{7f}",
    "\0",
    "...",
    "---",
    "memory.available<100Mi",
    "?",
    ":",
    "1.",
    "+1",
    "0.1e-2",
];

/// Reads documents with their meaning and says which it understands otherwise.
const READER: &str = "import json, sys, yaml\n\
    for text, meant in json.load(sys.stdin):\n    \
        try:\n        read = yaml.safe_load(text)\n    \
        except Exception as error:\n        read = repr(error)\n    \
        same = json.dumps(read, sort_keys=True, default=repr) == json.dumps(meant, sort_keys=True)\n    \
        if not same: print(json.dumps([text, meant, repr(read)]))\n";

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(WORDS).prop_map(str::to_owned),
        "\\PC{0,12}",
        "[ -~\n\t]{0,12}",
        "[0-9xeE:._+-]{1,8}",
        "[a-z=,.<%0-9-]{80,120}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        prop::collection::vec(text(), 0..4).prop_map(Value::from),
    ]
}

fn keys() -> impl Strategy<Value = Map<String, Value>> {
    let known =
        prop::sample::select(&["node-name", "kubelet-arg", "write-kubeconfig-mode", "debug"]);
    let key =
        prop_oneof![3 => known.prop_map(str::to_owned), 1 => "[a-z0-9][a-z0-9-]{0,8}", 1 => text()];
    prop::collection::vec((key, value()), 0..6).prop_map(|pairs| pairs.into_iter().collect())
}

fn cases() -> Vec<(String, Value)> {
    let mut all: Vec<Map<String, Value>> = WORDS
        .iter()
        .map(|word| {
            Map::from_iter([(String::from("a"), json!(word)), ((*word).to_owned(), json!([word]))])
        })
        .collect();
    let (mut runner, strategy) = (TestRunner::default(), keys());
    all.extend((0..512).map(|_| strategy.new_tree(&mut runner).expect("a case").current()));
    let write = |keys: Map<String, Value>| {
        (k3s_settings::yaml(&keys).expect("it has a form"), Value::from(keys))
    };
    all.into_iter().map(write).collect()
}

#[test]
fn what_is_written_is_read_back_by_yaml_1_1_and_1_2() {
    let cases = cases();
    for (text, meant) in &cases {
        let read: Value =
            serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(read, *meant, "YAML 1.2: {text}");
    }
    let mut child = Command::new("python3")
        .args(["-c", READER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let input = serde_json::to_string(&cases).expect("JSON");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("python3 reads");
    let output = child.wait_with_output().expect("python3 ends");
    assert!(output.status.success(), "python3-yaml is there");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "YAML 1.1 reads otherwise");
}
