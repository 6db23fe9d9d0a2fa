//! The laws that hold for every action, under the real dash and bash; needs root.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use oceanid::action::Action;
use oceanid::actions::{Command, Fetch, File, Folder, Made, Sysctls, Wait};
use oceanid::engine::{self, Run};
use oceanid::receipt;
use oceanid::remote::Remote as _;
use oceanid::script::Script;
use oceanid::secret;
use oceanid::step::Step;
use support::{Deaf, Here};

fn step(action: impl Action + 'static) -> Step {
    let mut step = Step::new("law");
    step.ensure(action);
    step
}

async fn apply(here: &Here, step: &Step) -> anyhow::Result<u32> {
    let stopped = AtomicBool::new(false);
    let mut run = Run {
        host: "here",
        remote: here,
        observer: &Deaf,
        name: "run",
        stop: &stopped,
        changes: 0,
    };
    run.apply(&[step], None).await.map(|()| run.changes)
}

async fn summaries(here: &Here, step: &Step) -> Vec<String> {
    let planned = engine::plan(here, &[step]).await.unwrap();
    planned.into_iter().map(|planned| planned.change.summary).collect()
}

/// Looking changes nothing; apply makes it true; a second apply does nothing; undo restores.
async fn holds(here: &Here, step: &Step, shown: &str) {
    let before = here.tree();
    assert_eq!(summaries(here, step).await, [shown]);
    assert_eq!(here.tree(), before, "looking changed something");

    assert_eq!(apply(here, step).await.unwrap(), 1);
    let after = here.tree();
    assert_ne!(after, before, "nothing was changed");
    assert_eq!(summaries(here, step).await, Vec::<String>::new());

    assert_eq!(apply(here, step).await.unwrap(), 0);
    assert_eq!(here.tree(), after, "a second run changed something");

    let undo = receipt::undo(&receipt::read(&here.receipt()).unwrap());
    for _ in 0..2 {
        let output = here.run(&undo, &|_: &str| ()).await.unwrap();
        assert_eq!(output.status, 0, "{}", output.stderr);
        assert_eq!(here.tree(), before, "undo did not restore");
    }
}

async fn under_each_shell(law: impl AsyncFn(Here)) {
    for shell in ["dash", "bash"] {
        law(Here::new(shell)).await;
    }
}

#[tokio::test]
async fn a_new_file_and_its_folders_come_and_go() {
    under_each_shell(async |here| {
        let file = File::new(here.path("a/b/it's new.conf"), "line\n\nlast\n\n");
        holds(&here, &step(file), "create, 12 bytes, 0644 root:root").await;
    })
    .await;
}

#[tokio::test]
async fn a_folder_comes_with_those_above_it_and_goes_with_them() {
    under_each_shell(async |here| {
        let folder = Folder::new(here.path("a/it's b/c"), 0o700);
        holds(&here, &step(folder), "create, 0700 root:root").await;
    })
    .await;
}

#[tokio::test]
async fn a_folder_that_is_there_gets_its_mode_and_keeps_what_is_in_it() {
    under_each_shell(async |here| {
        let path = here.path("open");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o2755)).unwrap();
        fs::write(format!("{path}/kept"), "kept\n").unwrap();
        let folder = Folder::new(path, 0o700);
        holds(&here, &step(folder), "2755 root:root -> 0700 root:root").await;
    })
    .await;
}

#[tokio::test]
async fn a_replaced_file_comes_back_with_its_mode() {
    under_each_shell(async |here| {
        let path = here.path("there.conf");
        fs::write(&path, "old $HOME `id`\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let file = File::new(path, "new\n").mode(0o600);
        holds(&here, &step(file), "replace, 4 bytes, 0600 root:root").await;
    })
    .await;
}

#[tokio::test]
async fn a_wrong_mode_alone_is_set_without_touching_the_content() {
    under_each_shell(async |here| {
        let path = here.path("mode");
        fs::write(&path, "same\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        holds(&here, &step(File::new(path, "same\n")), "0666 root:root -> 0644 root:root").await;
    })
    .await;
}

#[tokio::test]
async fn a_secret_file_is_shown_nowhere() {
    under_each_shell(async |here| {
        let path = here.path("secret");
        fs::write(&path, "canary-old").unwrap();
        let step = step(File::secret(path.clone(), "canary-new".to_owned().into()));
        let planned = engine::plan(&here, &[&step]).await.unwrap();
        assert!(!format!("{planned:?}").contains("canary"), "{planned:?}");
        holds(&here, &step, "replace, (secret), 0600 root:root").await;
        assert!(!here.receipt().contains("canary"));
        apply(&here, &step).await.unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "canary-new");
    })
    .await;
}

#[tokio::test]
async fn a_secret_of_the_host_is_made_once_and_shown_nowhere() {
    under_each_shell(async |here| {
        let path = here.path("a/token");
        let shown = "create, (made on the host), 0600 root:root";
        holds(&here, &step(Made::new(&path, ":")), shown).await;
        apply(&here, &step(Made::new(&path, ":"))).await.unwrap();
        let made = fs::read_to_string(&path).unwrap();
        assert_eq!(
            (made.trim().len(), fs::metadata(&path).unwrap().permissions().mode() & 0o777),
            (64, 0o600)
        );
        assert!(!here.receipt().contains(made.trim()));
        fs::remove_file(&path).unwrap();
        apply(&here, &step(Made::new(&path, "printf kept"))).await.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "kept\n", "what there is already is kept");
    })
    .await;
}

#[tokio::test]
async fn a_file_that_fails_its_check_leaves_the_old_one() {
    under_each_shell(async |here| {
        let path = here.path("checked");
        fs::write(&path, "good\n").unwrap();
        let step = step(File::new(path, "bad\n").check("grep -q good"));
        let before = here.tree();
        apply(&here, &step).await.unwrap_err();
        assert_eq!(here.tree(), before);
    })
    .await;
}

#[tokio::test]
async fn half_an_upload_never_lands() {
    under_each_shell(async |here| {
        let path = here.path("whole");
        fs::write(&path, "old\n").unwrap();
        let before = here.tree();
        let planned =
            engine::plan(&here, &[&step(File::new(path, "long content\n"))]).await.unwrap();
        let cut =
            planned[0].change.apply.clone().stdin(oceanid::script::Body::Text("long con".into()));
        let intent = receipt::Intent::new("run", 0, "law", "file", &planned[0].change);
        let output = here.run(&intent.wrap(&cut, None), &|_: &str| ()).await.unwrap();
        assert_eq!(output.status, 74);
        assert!(output.stderr.contains("the upload broke off; the old file is untouched"));
        assert_eq!(here.tree(), before);
    })
    .await;
}

#[tokio::test]
async fn a_link_in_the_way_is_refused() {
    under_each_shell(async |here| {
        let path = here.path("link");
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        let error = engine::plan(&here, &[&step(File::new(path, "x"))]).await.unwrap_err();
        assert!(
            format!("{error:#}").contains("a link or a special file is in the way"),
            "{error:#}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_file_cannot_forge_the_answer_of_another() {
    under_each_shell(async |here| {
        let evil = here.path("evil");
        let sum = secret::sha256(b"wanted\n");
        fs::write(
            &evil,
            format!(
                "regular file|644|root:root|{}\n{sum}  {}\nx",
                here.path("other"),
                here.path("other")
            ),
        )
        .unwrap();
        let mut both = step(File::new(evil, "tame\n"));
        both.ensure(File::new(here.path("other"), "wanted\n"));
        assert_eq!(summaries(&here, &both).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn kernel_parameters_are_read_whole() {
    under_each_shell(async |here| {
        let wanted: &[(&str, &str)] = &[("kernel.no_such_key", "1"), ("net.ipv4.ip_default_ttl", "999")];
        let planned = engine::plan(&here, &[&step(Sysctls::live(wanted))]).await.unwrap();
        let present = fs::read_to_string("/proc/sys/net/ipv4/ip_default_ttl").unwrap();
        let diff = format!(
            "+ kernel.no_such_key = 1\n- net.ipv4.ip_default_ttl = {present}+ net.ipv4.ip_default_ttl = 999\n"
        );
        assert_eq!(planned[0].change.diff.as_deref(), Some(diff.as_str()));
    })
    .await;
}

#[tokio::test]
async fn a_command_runs_once() {
    under_each_shell(async |here| {
        let path = here.path("flag");
        let command = Command::new(
            "flag",
            "raise it",
            format!("[ -e {path} ]"),
            Script::new(format!(": >{path}")),
        )
        .undo(Script::new(format!("rm -f {path}")));
        holds(&here, &step(command), "raise it").await;
    })
    .await;
}

#[tokio::test]
async fn a_wait_ends_when_its_test_succeeds_and_explains_when_it_does_not() {
    under_each_shell(async |here| {
        let path = here.path("soon");
        let wait = Wait::until(
            "soon",
            format!("[ -e {path} ] || {{ echo not there; exit 1; }}"),
            Duration::from_secs(2),
        )
        .diagnosis("echo because of this");
        let step = step(wait);
        let error = apply(&here, &step).await.unwrap_err();
        let failed = error.downcast::<engine::ChangeFailed>().unwrap();
        assert!(
            failed.output.stderr.contains("after 2 s: not there\nbecause of this"),
            "{failed:?}"
        );
        let later = path.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(700));
            fs::write(later, "").unwrap();
        });
        assert_eq!(apply(&here, &step).await.unwrap(), 1);
    })
    .await;
}

/// Serves `answer` to every request on a port of its own, for as long as the test runs.
fn serve(answer: Vec<u8>, length: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 2048];
            let _ = stream.read(&mut request);
            let _ = write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n");
            let _ = stream.write_all(&answer);
        }
    });
    format!("http://{address}/k3s")
}

#[tokio::test]
async fn a_download_lands_verified_and_goes_again() {
    let body = b"#!/bin/sh\necho program\n".to_vec();
    let sum = secret::sha256(&body);
    let url = serve(body.clone(), body.len());
    under_each_shell(async |here| {
        let path = here.path("bin/program");
        holds(&here, &step(Fetch::new(path, &url, &sum, "program v1")), "download program v1")
            .await;
    })
    .await;
}

#[tokio::test]
async fn a_download_that_is_not_what_was_wanted_is_refused_by_name() {
    let page = b"<!DOCTYPE html><html>Sign in</html>".to_vec();
    let cases = [
        (serve(page.clone(), page.len()), "gave an HTML page (a proxy or a login page?)"),
        (serve(b"other".to_vec(), 5), "gave 5 bytes with sha256"),
        (serve(b"half".to_vec(), 1000), "bytes remaining to read"),
        (String::from("http://127.0.0.1:1/k3s"), "nothing was replaced"),
    ];
    for (url, says) in cases {
        let here = Here::new("dash");
        let path = here.path("program");
        fs::write(&path, "old").unwrap();
        let before = here.tree();
        let wanted = secret::sha256(b"wanted");
        let error = apply(&here, &step(Fetch::new(path, &url, wanted, "v1"))).await.unwrap_err();
        let failed = error.downcast::<engine::ChangeFailed>().unwrap();
        assert!(failed.output.stderr.contains(says), "{says}: {}", failed.output.stderr);
        assert_eq!(here.tree(), before);
    }
}

#[tokio::test]
async fn what_is_sent_lands_verified_and_goes_again() {
    let cache = tempfile::tempdir().unwrap();
    let body = b"#!/bin/sh\necho program\n".repeat(50_000);
    let sum = secret::sha256(&body);
    let kept = cache.path().join(&sum);
    under_each_shell(async |here| {
        fs::write(&kept, &body).unwrap();
        let sent = Fetch::new(here.path("images/all"), "http://nowhere.invalid", &sum, "v1")
            .plain("images")
            .sent_from(&kept);
        let step = step(sent);
        let path = here.path("images/all");
        // What arrives is not what was promised: half of it, something else, nothing.
        for wrong in [&body[..1000], b"other", b""] {
            fs::write(&kept, wrong).unwrap();
            let before = here.tree();
            let error = apply(&here, &step).await.unwrap_err();
            let failed = error.downcast::<engine::ChangeFailed>().unwrap();
            let says = format!("{} bytes with sha256", wrong.len());
            assert!(failed.output.stderr.contains(&says), "{}", failed.output.stderr);
            assert!(!fs::exists(&path).unwrap() && before.len() <= here.tree().len());
            fs::remove_dir(here.path("images")).unwrap();
            fs::remove_dir_all(here.state("receipts")).unwrap();
            fs::remove_dir_all(here.state("undo")).unwrap();
        }
        fs::write(&kept, &body).unwrap();
        holds(&here, &step, "send v1").await;
    })
    .await;
}

#[tokio::test]
async fn a_cut_receipt_still_undoes_what_it_holds() {
    let here = Here::new("dash");
    let step = step(File::new(here.path("file"), "x\n"));
    let before = here.tree();
    apply(&here, &step).await.unwrap();
    let text = here.receipt() + "{\"entry\":\"intent\",\"sch";
    let undo = receipt::undo(&receipt::read(&text).unwrap());
    assert_eq!(here.run(&undo, &|_: &str| ()).await.unwrap().status, 0);
    assert_eq!(here.tree(), before);
}

#[tokio::test]
async fn what_a_change_upsets_is_brought_back_in_the_same_run() {
    under_each_shell(async |here| {
        let (config, up) = (here.path("config"), here.path("up"));
        fs::write(&up, "").unwrap();
        let test = |path: &str| format!("[ -e {path} ]");
        let restart = Script::new(format!(": >{config}; rm {up}"));
        let mut step = step(Command::new("config", "write, restart", test(&config), restart));
        let wait = Script::new(format!(": >{up}"));
        step.ensure(Command::new("up", "wait", test(&up), wait));
        assert_eq!(summaries(&here, &step).await, ["write, restart"]);
        assert_eq!(apply(&here, &step).await.unwrap(), 2);
        assert_eq!(summaries(&here, &step).await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn a_change_that_does_not_hold_is_made_once_and_named() {
    under_each_shell(async |here| {
        let count = here.path("count");
        let script = Script::new(format!("echo once >>{count}"));
        let step = step(Command::new("never", "try", "false", script));
        let error = apply(&here, &step).await.unwrap_err();
        assert!(error.is::<engine::NotHeld>(), "{error:#}");
        assert_eq!(fs::read_to_string(count).unwrap(), "once\n");
    })
    .await;
}
