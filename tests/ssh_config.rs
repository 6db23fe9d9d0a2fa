//! `~/.ssh/config`, with `ssh -G` as the oracle.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use oceanid::remote::ssh_config::{Settings, SshConfig, Subject};
use proptest::prelude::*;

type Values = BTreeMap<&'static str, Vec<String>>;

const KEYS: [&str; 10] = [
    "hostname",
    "user",
    "port",
    "identityfile",
    "identitiesonly",
    "identityagent",
    "certificatefile",
    "proxyjump",
    "hostkeyalias",
    "hashknownhosts",
];

/// What `ssh -G` prints of the keys that are set, without its defaults.
fn oracle(file: &Path, host: &str, user: Option<&str>) -> Option<Values> {
    let mut command = Command::new("ssh");
    command.args(["-G", "-F"]).arg(file);
    if let Some(user) = user {
        command.args(["-l", user]);
    }
    let output = command.arg(host).output().unwrap();
    if !output.status.success() {
        return None;
    }
    let mut values = Values::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        if let Some(key) = KEYS.iter().find(|one| **one == key) {
            values.entry(key).or_default().push(value.to_owned());
        }
    }
    Some(values)
}

fn ours(file: &Path, host: &str, user: Option<&str>) -> Option<Values> {
    let mut config = SshConfig::default();
    config.read(file, file.parent().unwrap(), Path::new("/root")).ok()?;
    let settings = config.settings(Subject { host, user, local_user: "root" });
    Some(with_defaults(settings, host, user))
}

/// The values that OpenSSH prints for what is not set.
fn with_defaults(settings: Settings, host: &str, user: Option<&str>) -> Values {
    let usual =
        ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_xmss", "id_dsa"];
    let flag =
        |value: Option<bool>| vec![if value == Some(true) { "yes" } else { "no" }.to_owned()];
    let files = if settings.identity_files.is_empty() {
        usual.iter().map(|name| format!("~/.ssh/{name}")).collect()
    } else {
        settings.identity_files
    };
    let user = user.map(str::to_owned).or(settings.user).unwrap_or_else(|| "root".to_owned());
    let mut values = Values::from([
        ("hostname", vec![settings.host_name.unwrap_or_else(|| host.to_lowercase())]),
        ("user", vec![user]),
        ("port", vec![settings.port.unwrap_or(22).to_string()]),
        ("identityfile", files),
        ("identitiesonly", flag(settings.identities_only)),
        ("hashknownhosts", flag(settings.hash_known_hosts)),
    ]);
    let mut add =
        |key, list: Vec<String>| drop((!list.is_empty()).then(|| values.insert(key, list)));
    // The one path that `ssh -G` prints expanded.
    add(
        "identityagent",
        settings.identity_agent.map(|path| path.replace("~/", "/root/")).into_iter().collect(),
    );
    add("certificatefile", settings.certificate_files);
    add("proxyjump", settings.proxy_jump.filter(|jump| jump != "none").into_iter().collect());
    add("hostkeyalias", settings.host_key_alias.into_iter().collect());
    values
}

fn compare(text: &str, hosts: &[&str], user: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    fs::write(&file, text.replace("FOLDER", &folder.path().display().to_string())).unwrap();
    fs::write(
        folder.path().join("more.conf"),
        "User included\nHost a\n Port 99\nHost b*\n Port 98\n",
    )
    .unwrap();
    for host in hosts {
        let theirs =
            oracle(&file, host, user).unwrap_or_else(|| panic!("ssh does not take:\n{text}"));
        assert_eq!(ours(&file, host, user), Some(theirs), "host {host}, user {user:?}:\n{text}");
    }
}

#[test]
fn a_table_of_configurations_means_what_ssh_says() {
    let hosts = ["a", "b", "ab", "A", "a.example.com", "10.0.0.1"];
    for text in [
        "",
        "Host a\n HostName 10.1.1.1\n User one\nHost *\n User two\n Port 2222\n",
        "User first\nHost *\n User second\n",
        "Host * !a\n User others\nHost !b\n User never\n",
        "Host a? ?b\n Port 1\nHost *.example.com\n HostName %h.internal\n",
        "Host a\n HostName %h-%%x\n",
        "host=a\n\tuSeR = \"with quotes\"\n",
        "Host \"a\" b\n User \"x\" # a comment\n",
        "IdentityFile ~/.ssh/one\nHost a\n IdentityFile ~/.ssh/two\n IdentityFile ~/.ssh/one\n IdentitiesOnly yes\n",
        "Host a\n CertificateFile ~/one-cert.pub\n CertificateFile ~/two-cert.pub\n IdentityAgent none\n",
        "Host a\n IdentityAgent ~/agent\nHost *\n IdentityAgent SSH_AUTH_SOCK\n",
        "Host a\n ProxyJump none\nHost *\n ProxyJump me@hop:2200\n",
        "Host a\n ProxyJump one,two@three,four:5\n",
        "Host a\n HostKeyAlias alias\n HashKnownHosts yes\n",
        "Match host a\n User m\nMatch all\n Port 7\n",
        "Host a\n HostName real\nMatch host real\n User by-real\nMatch originalhost a\n Port 8\n",
        "Match !host a,b\n User others\n",
        "Match user root host a\n Port 3\n",
        "Match originalhost a* user nobody\n Port 3\nMatch localuser root\n Port 4\n",
        "Include FOLDER/more.conf\nUser later\n",
        "Host b\n Include FOLDER/more.conf\n User inside\nHost *\n User outside\n",
        "Include FOLDER/*.conf FOLDER/absent\nHost a\n User later\n",
        "Host a\n Include FOLDER/more.conf\n HostName kept-after-include\n",
        "# comment\n\n   # another\nHost a # trailing\n  Port 5   \n",
        "Host a\r\n Port 6\r\n",
    ] {
        compare(text, &hosts, None);
        compare(text, &hosts, Some("me"));
    }
}

fn line() -> impl Strategy<Value = String> {
    let pattern = "!?[ab*?]{1,3}";
    let patterns = prop::collection::vec(pattern, 1..4);
    prop_oneof![
        3 => patterns.prop_map(|list| format!("Host {}", list.join(" "))),
        1 => (prop_oneof![Just("host"), Just("originalhost"), Just("user")], prop::bool::ANY, "[ab*]{1,2}(,!?[abr*]{1,2})?")
            .prop_map(|(name, negated, list)| format!("Match {}{name} {list}", if negated { "!" } else { "" })),
        2 => "[a-c]{1,2}".prop_map(|user| format!("  User {user}")),
        2 => (1_u16..9).prop_map(|port| format!("  Port {port}")),
        2 => "[ab]{1,2}(-%h)?".prop_map(|name| format!("  HostName {name}")),
        2 => "[a-d]".prop_map(|name| format!("  IdentityFile ~/.ssh/{name}")),
        1 => prop_oneof![Just("yes"), Just("no")].prop_map(|value| format!("IdentitiesOnly {value}")),
        1 => prop_oneof![Just("none"), Just("hop"), Just("u@hop:3,last")].prop_map(|jump| format!("ProxyJump {jump}")),
        1 => Just("  HostKeyAlias alias".to_owned()),
        1 => Just("Include FOLDER/more.conf".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]
    #[test]
    fn generated_configurations_mean_what_ssh_says(
        lines in prop::collection::vec(line(), 0..14),
        host in "[ab]{1,3}",
        user in prop::option::of("[ab]"),
    ) {
        compare(&(lines.join("\n") + "\n"), &[&host], user.as_deref());
    }
}
