//! Login shells and sudo, in mount namespaces with account files of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use oceanid::cluster::Host;
use oceanid::remote::{Remote, RemoteError};
use oceanid::script::{Body, Script};
use oceanid::secret::SecretRef;

use crate::sshd::{Sshd, Yard, free_port};
use crate::{Person, connector, error, nobody, run, says};

const PASSWORD: &str = "canary sudo pässword";

/// An sshd that sees one more account; nothing of this machine changes.
fn private_sshd(yard: &Yard, shell: &str, sudoers: &str, home: &[(&str, &str)]) -> Sshd {
    let folder = yard.folder.path().join("accounts");
    fs::create_dir_all(folder.join("home")).unwrap();
    for (name, text) in home {
        let path = folder.join("home").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let own =
        Command::new("chown").args(["-R", "4242:4242"]).arg(folder.join("home")).status().unwrap();
    assert!(own.success());
    // Through a file: other tests look for the password among all arguments on this machine.
    let file = folder.join("clear");
    fs::write(&file, PASSWORD).unwrap();
    let hash = Command::new("openssl").args(["passwd", "-6", "-in"]).arg(&file).output().unwrap();
    fs::remove_file(&file).unwrap();
    let hash = String::from_utf8(hash.stdout).unwrap();
    let account = format!("oceanid-test:x:4242:4242::{}:{shell}\n", folder.join("home").display());
    for (file, line, mode) in [
        ("passwd", account, 0o644),
        ("shadow", format!("oceanid-test:{}:19000:0:99999:7:::\n", hash.trim()), 0o640),
        ("group", "oceanid-test:x:4242:\n".to_owned(), 0o644),
    ] {
        let text = fs::read_to_string(Path::new("/etc").join(file)).unwrap();
        write(&folder.join(file), &(text + &line), mode);
    }
    let rules = format!("Defaults env_reset\nroot ALL=(ALL:ALL) ALL\n{sudoers}\n");
    write(&folder.join("sudoers"), &rules, 0o440);
    let at = folder.display();
    let script = format!(
        "mount --bind {at}/passwd /etc/passwd && mount --bind {at}/shadow /etc/shadow && \
         mount --bind {at}/group /etc/group && mount --bind {at}/sudoers /etc/sudoers && exec \"$@\""
    );
    let wrap = ["unshare", "-m", "--propagation", "private", "sh", "-c", &script, "sh"];
    let sshd = yard.sshd_at("private", free_port(), "", &wrap);
    yard.know(&sshd, "ed25519");
    sshd
}

fn write(path: &PathBuf, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn host(yard: &Yard, sshd: &Sshd) -> Host {
    let mut host = yard.host("a", sshd.port, &[&yard.ssh("id")]);
    host.ssh.user = Some("oceanid-test".into());
    host
}

fn password_at(yard: &Yard, text: &str) -> SecretRef {
    let path = yard.folder.path().join("password");
    fs::write(&path, text).unwrap();
    SecretRef::File(path)
}

fn yard() -> Yard {
    let yard = Yard::new();
    yard.key("id", "ed25519", "");
    yard
}

#[tokio::test]
#[expect(clippy::print_stderr, reason = "a skipped shell is named")]
async fn scripts_do_not_care_about_the_login_shell_and_what_it_prints() {
    let noise = "echo noise; echo noise >&2; printf half\n";
    let home = [
        (".config/fish/config.fish", noise),
        (".tcshrc", "echo noise\n"),
        (".bashrc", noise),
        (".bash_logout", noise),
        (".ssh/rc", noise),
    ];
    for shell in ["/bin/sh", "/bin/bash", "/usr/bin/fish", "/usr/bin/tcsh"] {
        if !Path::new(shell).exists() {
            eprintln!("skipped: {shell} is not installed");
            continue;
        }
        let yard = yard();
        let sshd = private_sshd(&yard, shell, "oceanid-test ALL=(ALL) NOPASSWD: ALL", &home);
        let host = host(&yard, &sshd);
        let connection =
            connector(&yard, &[&host], &nobody()).connect(&host, &|_| {}).await.unwrap();
        let script = Script::new("id -u; cat; echo 'it'\"'\"'s' >&2; exit 9")
            .stdin(Body::Text("in\n".into()));
        for _ in 0..2 {
            let output = run(&connection, &script).await;
            assert_eq!(
                (output.status, output.stdout.as_str(), output.stderr.as_str()),
                (9, "0\nin\n", "it's\n"),
                "{shell}"
            );
        }
    }
}

#[tokio::test]
async fn an_account_without_a_shell_is_named() {
    let yard = yard();
    let sshd = private_sshd(&yard, "/usr/sbin/nologin", "", &[]);
    let host = host(&yard, &sshd);
    let connection = connector(&yard, &[&host], &nobody()).connect(&host, &|_| {}).await.unwrap();
    let error = connection.run(&Script::new("true"), &|_| {}).await.unwrap_err();
    assert!(
        matches!(&error, RemoteError::Unusable { reason, .. } if reason.contains("not available")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_configured_sudo_password_costs_no_further_execution_and_never_becomes_payload() {
    for rule in ["ALL", "NOPASSWD: ALL"] {
        let yard = yard();
        let sshd = private_sshd(&yard, "/bin/bash", &format!("oceanid-test ALL=(ALL) {rule}"), &[]);
        let mut host = host(&yard, &sshd);
        host.ssh.sudo_password = Some(password_at(&yard, PASSWORD));
        let connection =
            connector(&yard, &[&host], &nobody()).connect(&host, &|_| {}).await.unwrap();
        assert_eq!(says(&connection, "id -u; cat").await, "0\n");
        let script = Script::new("id -u; cat").stdin(Body::Text("first\nsecond".into()));
        assert_eq!(run(&connection, &script).await.stdout, "0\nfirst\nsecond");
        let shown = says(&connection, "ps -eo args; env; cat /proc/self/environ").await;
        assert!(!shown.contains("canary"));
        assert_eq!(sshd.count("Starting session: command"), 3);
    }
}

#[tokio::test]
async fn a_sudo_password_is_asked_for_once() {
    let yard = yard();
    let sshd = private_sshd(&yard, "/bin/sh", "oceanid-test ALL=(ALL) ALL", &[]);
    let host = host(&yard, &sshd);
    let person = Arc::new(Person { sudo: Some(PASSWORD), ..Person::default() });
    let connector = connector(&yard, &[&host], &person);
    let connection = connector.connect(&host, &|_| {}).await.unwrap();
    let again = connection.reconnect().await.unwrap();
    for connection in [&connection, &again] {
        let script = Script::new("id -u; cat").stdin(Body::Text("payload".into()));
        assert_eq!(run(connection, &script).await.stdout, "0\npayload");
        assert_eq!(run(connection, &script).await.stdout, "0\npayload");
    }
    assert_eq!(person.asked(), 1);
}

#[tokio::test]
async fn a_wrong_sudo_password_is_one_clear_error_and_one_attempt() {
    for body in [Body::Empty, Body::Text("one\ntwo\nthree\n".into())] {
        let yard = yard();
        let log = yard.folder.path().join("sudo.log");
        let rules = format!("Defaults logfile={}\noceanid-test ALL=(ALL) ALL", log.display());
        let sshd = private_sshd(&yard, "/bin/sh", &rules, &[]);
        let mut host = host(&yard, &sshd);
        host.ssh.sudo_password = Some(password_at(&yard, "canary-wrong"));
        let connection =
            connector(&yard, &[&host], &nobody()).connect(&host, &|_| {}).await.unwrap();
        let error = connection.run(&Script::new("cat").stdin(body), &|_| {}).await.unwrap_err();
        let RemoteError::Privilege { reason, user, .. } = &error else { panic!("{error:?}") };
        assert_eq!(
            (reason.as_str(), user.as_str()),
            ("the sudo password is wrong", "oceanid-test")
        );
        assert!(!format!("{error:?}").contains("canary"));
        let log = fs::read_to_string(log).unwrap();
        assert!(log.contains("1 incorrect password attempt ;"), "{log}");
    }
}

#[tokio::test]
async fn why_sudo_lets_nobody_in_is_said() {
    let rules = [
        ("", None, "sudo wants a password, and none is configured"),
        ("", Some(PASSWORD), "sudo does not allow it"),
        (
            "oceanid-test ALL=(ALL) NOPASSWD: /bin/true",
            Some(PASSWORD),
            "sudo lets this user run other commands",
        ),
    ];
    for (rule, password, wanted) in rules {
        let yard = yard();
        let sshd = private_sshd(&yard, "/bin/sh", rule, &[]);
        let mut host = host(&yard, &sshd);
        host.ssh.sudo_password = password.map(|text| password_at(&yard, text));
        let connection =
            connector(&yard, &[&host], &nobody()).connect(&host, &|_| {}).await.unwrap();
        let error = connection.run(&Script::new("true"), &|_| {}).await.unwrap_err();
        assert!(
            matches!(&error, RemoteError::Privilege { reason, .. } if reason.contains(wanted)),
            "{rule}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_user_that_the_host_does_not_know_is_refused_like_a_wrong_key() {
    let yard = yard();
    let sshd = yard.sshd("a", "");
    let mut host = yard.host("a", sshd.port, &[&yard.ssh("id")]);
    host.ssh.user = Some("nobody-of-that-name".into());
    assert!(
        matches!(error(&yard, &host).await, RemoteError::Authentication { user, .. } if user == "nobody-of-that-name")
    );
}
