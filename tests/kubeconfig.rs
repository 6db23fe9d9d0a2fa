//! The merge of kubeconfigs: what is there stays, and kubectl reads the same as before.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use oceanid::kubeconfig::{Access, Current, Kubeconfig, Outcome, Place, merge};
use oceanid::secret;
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// What `openssl` would print for a CA; the merge only compares it.
const CA: &str = "-----BEGIN CERTIFICATE-----\nb2NlYW4=\n-----END CERTIFICATE-----\n";
/// Base64 of `CA`, of "leaf" and of "key".
const CA_DATA: &str =
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCmIyTmxZVzQ9Ci0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K";
const LEAF_DATA: &str = "bGVhZg==";
const KEY_DATA: &str = "a2V5";

static KUBECTL: LazyLock<PathBuf> = LazyLock::new(|| {
    let program =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("target/graders/kubectl-1.37.1/bin/kubectl");
    assert!(program.exists(), "`tests/setup.sh` installs kubectl");
    program
});

fn of_k3s() -> Access {
    let yaml = format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {CA_DATA}\n    \
         server: https://127.0.0.1:6443\n  name: default\ncontexts:\n- context:\n    cluster: default\n    \
         user: default\n  name: default\ncurrent-context: default\nkind: Config\npreferences: {{}}\nusers:\n\
         - name: default\n  user:\n    client-certificate-data: {LEAF_DATA}\n    client-key-data: {KEY_DATA}\n"
    );
    Access::of_k3s(&SecretString::from(yaml)).expect("what k3s writes")
}

fn parse(text: &str) -> Kubeconfig {
    Kubeconfig::parse(&SecretString::from(text)).expect("a kubeconfig")
}

fn rendered(config: &Kubeconfig) -> String {
    secret::text(&config.render().expect("it was parsed")).to_owned()
}

fn merged(text: &str, name: &str) -> anyhow::Result<String> {
    let merged = parse(text).merged(name, &of_k3s(), Current::Kept, &|_| None)?;
    Ok(rendered(&merged))
}

/// What kubectl makes of a file.
fn seen_by_kubectl(text: &str) -> Value {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("config");
    fs::write(&file, text).expect("ours");
    let output = Command::new(&*KUBECTL)
        .args(["config", "view", "--raw", "-o", "json", "--kubeconfig"])
        .arg(&file)
        .env("HOME", folder.path())
        .output()
        .expect("kubectl runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{text}");
    // It makes names of files absolute, and the folder is another one each time.
    let stdout = String::from_utf8(output.stdout).expect("JSON");
    serde_json::from_str(&stdout.replace(&folder.path().display().to_string(), "")).expect("JSON")
}

fn scalar() -> impl Strategy<Value = Value> {
    let awkward = prop::sample::select(vec![
        "yes",
        "no",
        "on",
        "off",
        "null",
        "~",
        "",
        "0600",
        "0x1f",
        "1e3",
        "1_000",
        "12:30:45",
        "2026-11-24",
        "true",
        ".inf",
        "-",
        "- a",
        "a: b",
        "#no",
        "a #b",
        "'q'",
        "\"",
        "{a}",
        "[a]",
        "*a",
        "&a",
        "!t",
        "%d",
        "@x",
        "`x`",
        "|",
        ">",
        " lead",
        "trail ",
        "tab\there",
        "two\nlines",
        "ends\n",
        "\u{e9}\u{1f40b}",
        "=",
        "<<",
        "y",
        "N",
        "+1",
        ".5",
        "1.",
        "0o17",
        "0b1",
        "? a",
        "---",
        "...",
        "a\r\nb",
        "\u{85}",
        "\u{2028}",
    ]);
    prop_oneof![
        awkward.prop_map(|text| json!(text)),
        "[ -~]{0,24}".prop_map(|text| json!(text)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i32>().prop_map(|value| json!(value)),
    ]
}

/// Anything that an extension may hold.
fn anything() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-zA-Z./_-]{1,8}", inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    scalar().prop_filter_map("text", |value| value.as_str().map(str::to_owned))
}

fn extensions() -> impl Strategy<Value = Value> {
    let one = ("[a-z]{1,6}", prop::collection::vec(("[a-z]{1,6}", anything()), 0..3));
    prop::collection::vec(one, 0..2).prop_map(|all| {
        let one = |(name, fields): (String, Vec<(String, Value)>)| {
            json!({ "name": name, "extension": fields.into_iter().collect::<Map<_, _>>() })
        };
        Value::from(all.into_iter().map(one).collect::<Vec<_>>())
    })
}

fn user() -> impl Strategy<Value = Value> {
    let environment = prop::collection::vec(("[A-Z]{1,6}", text()), 0..3);
    prop_oneof![
        text().prop_map(|token| json!({ "token": token })),
        (text(), prop::collection::vec(text(), 0..4), environment).prop_map(|(command, args, env)| {
            let pair = |(name, value)| json!({ "name": name, "value": value });
            json!({ "exec": {
                "apiVersion": "client.authentication.k8s.io/v1", "args": args, "command": command,
                "env": env.into_iter().map(pair).collect::<Vec<_>>(), "interactiveMode": "IfAvailable",
                "provideClusterInfo": false,
            } })
        }),
        (text(), text()).prop_map(|(name, password)| json!({ "username": name, "password": password })),
        Just(json!({ "client-certificate": "keys/u.crt", "client-key": "keys/u.key" })),
    ]
}

/// A kubeconfig of somebody else: names that are not ours, anything that kubectl knows, in any order.
fn foreign() -> impl Strategy<Value = Value> {
    let entry = ("f[a-z0-9@:/._-]{0,8}", extensions(), user(), text(), any::<bool>());
    let top = prop::collection::vec(("[a-z]{3,8}", anything()), 0..2);
    (prop::collection::vec(entry, 0..5), any::<bool>(), top).prop_map(|(entries, current, top)| {
        let mut config = json!({ "kind": "Config", "users": [], "apiVersion": "v1", "contexts": [], "clusters": [] });
        let mut names: Vec<String> = Vec::new();
        for (name, extensions, user, text, insecure) in entries {
            if names.contains(&name) {
                continue;
            }
            let push = |list: &mut Value, entry| list.as_array_mut().expect("a list").push(entry);
            let server = format!("https://{name}.example:6443");
            let mut cluster = json!({ "server": server, "extensions": extensions });
            if insecure {
                cluster["insecure-skip-tls-verify"] = json!(true);
            } else {
                cluster["certificate-authority-data"] = json!("Zm9yZWlnbg==");
            }
            push(&mut config["clusters"], json!({ "name": name, "cluster": cluster }));
            push(&mut config["users"], json!({ "name": name, "user": user }));
            let context = json!({ "cluster": name, "namespace": text, "user": name, "extensions": extensions });
            push(&mut config["contexts"], json!({ "context": context, "name": name }));
            names.push(name);
        }
        if let (true, Some(name)) = (current, names.first()) {
            config["current-context"] = json!(name);
        }
        for (key, value) in top {
            config.as_object_mut().expect("a map").entry(format!("x{key}")).or_insert(value);
        }
        config
    })
}

/// JSON, which is YAML; all beyond ASCII is escaped as in YAML: YAML 1.1 takes a bare U+0085 for a line's end.
fn file(config: &Value) -> String {
    let mut text = String::new();
    for c in config.to_string().chars() {
        if c.is_ascii() {
            text.push(c);
            continue;
        }
        write!(text, "\\U{:08x}", u32::from(c)).expect("a string takes text");
    }
    text
}

/// Everything but what is called `name`.
fn without(mut config: Value, name: &str) -> Value {
    for list in ["clusters", "contexts", "users"] {
        if let Some(entries) = config[list].as_array_mut() {
            entries.retain(|entry| entry["name"] != name);
        }
        // kubectl says null for none.
        if config[list].as_array().is_some_and(Vec::is_empty) {
            config[list] = Value::Null;
        }
    }
    config
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn a_merge_keeps_every_foreign_entry_in_its_place_and_a_second_one_changes_nothing(config in foreign()) {
        let before = parse(&file(&config));
        let once = merged(&file(&config), "ocean").expect("nothing of that name is there");
        let (seen, kept) = (value(&once), value(&rendered(&before)));
        prop_assert_eq!(&kept, &config);
        let order = |config: &Value| config.as_object().expect("a map").keys().cloned().collect::<Vec<_>>();
        let (new, old) = (order(&seen), order(&kept));
        prop_assert_eq!(&new[..old.len()], &old[..]);
        let mut left = without(seen.clone(), "ocean");
        if config.get("current-context").is_none() {
            prop_assert_eq!(left["current-context"].take(), json!("ocean"));
            left.as_object_mut().expect("a map").remove("current-context");
        }
        prop_assert_eq!(left, without(kept, "ocean"));
        prop_assert_eq!(&merged(&once, "ocean").expect("it is ours"), &once);
    }
}

proptest! {
    // Each case starts kubectl twice.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn kubectl_reads_every_foreign_entry_as_before(config in foreign()) {
        let before = seen_by_kubectl(&file(&config));
        let after = seen_by_kubectl(&merged(&file(&config), "ocean").expect("nothing is there"));
        let mut left = without(after, "ocean");
        if config.get("current-context").is_none() {
            prop_assert_eq!(left["current-context"].take(), json!("ocean"));
            left["current-context"] = json!("");
        }
        prop_assert_eq!(left, without(before, "ocean"));
    }
}

fn value(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("YAML")
}

const OTHERS: &str = "# mine\napiVersion: v1\nkind: Config\npreferences: {}\ncurrent-context: work\nclusters:\n\
    - {name: work, cluster: {server: 'https://work', certificate-authority-data: Zm9yZWlnbg==}}\n\
    - {name: files, cluster: {server: 'https://files', certificate-authority: ca.pem}}\ncontexts:\n\
    - {name: work, context: {cluster: work, user: me}}\n- {name: files, context: {cluster: files, user: me}}\n\
    users:\n- {name: me, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: login, interactiveMode: Never}}}\n";

#[test]
fn kubectl_finds_the_new_context_and_what_it_leads_to() {
    let seen = seen_by_kubectl(&merged(OTHERS, "ocean").expect("it is new"));
    let entry = |list: &str| {
        let all = seen[list].as_array().expect("a list");
        all.iter().find(|one| one["name"] == "ocean").expect("ours").clone()
    };
    assert_eq!(entry("contexts")["context"], json!({ "cluster": "ocean", "user": "ocean" }));
    let cluster =
        json!({ "server": "https://127.0.0.1:6443", "certificate-authority-data": CA_DATA });
    assert_eq!(entry("clusters")["cluster"], cluster);
    let user = json!({ "client-certificate-data": LEAF_DATA, "client-key-data": KEY_DATA });
    assert_eq!(entry("users")["user"], user);
    assert_eq!(seen["current-context"], "work");
}

#[test]
fn a_name_that_is_anothers_is_refused() {
    for (name, kind) in [("work", "cluster"), ("files", "cluster"), ("me", "user")] {
        let refused = merged(OTHERS, name).expect_err("it is another's").to_string();
        assert!(refused.contains(&format!("the {kind} `{name}` is there already")), "{refused}");
    }
    let context = OTHERS.replace("{name: work, context", "{name: ocean, context");
    let refused = merged(&context, "ocean").expect_err("it is another's").to_string();
    assert!(refused.contains("the context `ocean` is there already"), "{refused}");
    // A file that holds the very CA of the cluster makes its entry ours.
    let config = parse(OTHERS).merged("files", &of_k3s(), Current::Switched, &|name| {
        (name == "ca.pem").then(|| CA.trim().as_bytes().to_vec())
    });
    let text = rendered(&config.expect("it is ours"));
    assert_eq!(value(&text)["current-context"], "files");
    assert!(!text.contains("ca.pem"), "{text}");
}

#[test]
fn what_else_our_own_entry_has_stays_where_it_does_not_contradict() {
    let ours = merged("", "ocean").expect("it is new");
    let mut config = value(&ours);
    config["contexts"][0]["context"]["namespace"] = json!("dmz");
    config["clusters"][0]["cluster"]["proxy-url"] = json!("socks5://desk:1080");
    config["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = json!(true);
    config["users"][0]["user"]["token"] = json!("old");
    let seen = value(&merged(&config.to_string(), "ocean").expect("it is ours"));
    assert_eq!(seen["contexts"][0]["context"]["namespace"], "dmz");
    assert_eq!(seen["clusters"][0]["cluster"]["proxy-url"], "socks5://desk:1080");
    assert!(seen["clusters"][0]["cluster"].get("insecure-skip-tls-verify").is_none());
    assert!(seen["users"][0]["user"].get("token").is_none());
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("readable");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

fn merge_into(path: &Path) -> anyhow::Result<Outcome> {
    merge(&Place { path: path.to_owned() }, "ocean", &of_k3s(), Current::Kept)
}

#[test]
fn a_file_is_made_merged_into_and_then_left_alone() {
    let home = TempDir::new().expect("a folder");
    let file = home.path().join(".kube/config");
    assert_eq!(merge_into(&file).expect("made"), Outcome::Created);
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(&home.path().join(".kube"))), (0o600, 0o700));
    assert_eq!(merge_into(&file).expect("looked at"), Outcome::Unchanged);
    fs::write(&file, OTHERS).expect("ours");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("ours");
    let Outcome::Merged { backup } = merge_into(&file).expect("merged") else { panic!("a backup") };
    assert_eq!(fs::read_to_string(&backup).expect("kept"), OTHERS);
    assert_eq!((mode(&file), mode(&backup)), (0o600, 0o600));
    let inode =
        fs::metadata(&file).map(|meta| std::os::unix::fs::MetadataExt::ino(&meta)).expect("there");
    assert_eq!(merge_into(&file).expect("looked at"), Outcome::Unchanged);
    let after =
        fs::metadata(&file).map(|meta| std::os::unix::fs::MetadataExt::ino(&meta)).expect("there");
    assert_eq!(inode, after);
    assert_eq!(names(&home.path().join(".kube")).len(), 2, "the file and its backup");
}

#[test]
fn a_link_stays_a_link_even_to_nowhere() {
    let home = TempDir::new().expect("a folder");
    let (link, file) = (home.path().join("config"), home.path().join("dotfiles/kube"));
    symlink("dotfiles/kube", &link).expect("ours");
    assert_eq!(merge_into(&link).expect("made"), Outcome::Created);
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    fs::write(&file, OTHERS).expect("ours");
    let Outcome::Merged { backup } = merge_into(&link).expect("merged") else { panic!("a backup") };
    assert_eq!(backup.parent(), file.parent(), "the former file is kept where it was");
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    assert!(fs::read_to_string(&file).expect("there").contains("ocean"));
    assert_eq!(names(home.path()), ["config", "dotfiles"]);
}

#[test]
fn a_broken_file_is_refused_with_its_line_and_no_secret_and_stays() {
    let home = TempDir::new().expect("a folder");
    let file = home.path().join("config");
    for broken in [
        "apiVersion: v1\nusers:\n- name: me\n  user: {token: hunter2\n",
        "apiVersion: v1\nusers:\n- name: me\n  user:\n    token: hunter2\n    token: hunter2\n",
        "apiVersion: v1\nusers:\n- name: me\n\tuser: hunter2\n",
        "users: hunter2\n",
        "hunter2\n",
    ] {
        fs::write(&file, broken).expect("ours");
        let refused = format!("{:#}", merge_into(&file).expect_err("it is broken"));
        assert!(refused.contains("was left as it is"), "{refused}");
        assert!(!refused.contains("hunter2"), "{refused}");
        let is_yaml = broken.starts_with("users") || broken.starts_with("hunter2");
        assert!(is_yaml || refused.contains("line "), "{refused}");
        assert_eq!(fs::read_to_string(&file).expect("there"), broken);
        assert_eq!(names(home.path()), ["config"]);
    }
}

#[test]
fn two_writers_do_not_meet() {
    let home = TempDir::new().expect("a folder");
    let file = home.path().join("config");
    fs::write(&file, OTHERS).expect("ours");
    fs::write(home.path().join("config.lock"), "").expect("as kubectl does");
    let refused = format!("{:#}", merge_into(&file).expect_err("it is locked"));
    assert!(refused.contains("is being changed by another program\nhint: "), "{refused}");
    assert_eq!(fs::read_to_string(&file).expect("there"), OTHERS);
}

/// Written by hand: everything that YAML 1.1 reads in its own way.
const BY_HAND: &str = r#"---
# a comment
apiVersion: v1
kind: Config
clusters:
- name: one
  cluster: &base
    server: "https://one"
    insecure-skip-tls-verify: yes
    extensions:
    - name: plain
      extension:
        bools: [yes, No, on, OFF, true, y, n]
        numbers: [0600, 0o17, 0x1F, 1_000, 1e3, 12.50, -0, +7, 9007199254740993, 1e400x]
        texts: [2026-11-24, 12:30:45, 1.2.3, ~x, "null", '0600', 'yes']
        nothing: [~, null, '']
        folded: >-
          two lines
          folded
        literal: |
          two
            lines
        empty: {}
        none: []
- name: two
  cluster:
    <<: *base
    server: https://two
contexts:
- {name: one, context: {cluster: one, user: one}}
users:
- name: one
  user: {token: "hunter2"}
"#;

#[test]
fn what_was_written_by_hand_says_the_same_to_kubectl() {
    let before = seen_by_kubectl(BY_HAND);
    let mut after =
        without(seen_by_kubectl(&merged(BY_HAND, "ocean").expect("it is new")), "ocean");
    assert_eq!(after["current-context"].take(), "ocean");
    after["current-context"] = json!("");
    assert_eq!(after, before);
}
