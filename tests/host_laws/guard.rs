//! The guard's own laws, on a step of the tests.

use std::time::Duration;

use crate::ground::Ground;
use crate::operator::Operator;
use lab::Topology;
use lab::command::wait_for;
use oceanid::actions::{Command, File};
use oceanid::engine::ChangeFailed;
use oceanid::guard::{TakenBack, Watch};
use oceanid::receipt::Intent;
use oceanid::remote::Remote;
use oceanid::script::Script;
use oceanid::step::Step;

const FILE: &str = "/etc/law.conf";
const LIMIT: Duration = Duration::from_secs(6);
/// Everything that a guard leaves lying about while it is armed.
const TRACES: &str = "ls /etc/systemd/system /etc/systemd/system/multi-user.target.wants /var/lib/oceanid | \
    grep -i guard | grep -v guard.flock; systemctl list-units --all --plain --no-legend 'oceanid-guard*'; :";

fn step(content: &str) -> Step {
    let mut step = Step::new("law");
    step.guard(LIMIT);
    step.ensure(File::new(FILE, content));
    step
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_undoes_what_nobody_confirms() {
    let operator = Operator::before(Topology::one());
    let mut ground = Ground::of(&operator).await;
    ground.exec(&format!("echo before >{FILE}"));
    what_is_confirmed_stays_and_nothing_else_does(&mut ground).await;
    what_must_hold_is_asked_for_only_if_it_held(&mut ground).await;
    a_change_that_fails_takes_the_step_back(&mut ground).await;
    a_change_is_not_made_without_its_guard(&ground).await;
    a_change_that_still_runs_is_ended_before_it_is_undone(&ground).await;
    a_run_that_dies_is_undone_after_the_last_change(&mut ground).await;
    a_reboot_in_between_undoes_it(&mut ground).await;
}

async fn what_is_confirmed_stays_and_nothing_else_does(ground: &mut Ground<'_>) {
    let before = ground.files();
    let connections = || ground.host.sshd_counts().expect("a journal").connections;
    let seen = connections();
    assert_eq!(ground.apply(&step("after\n")).await.expect("it is confirmed"), 1);
    assert_eq!(ground.host.sshd_counts().expect("a journal").connections - seen, 1, "a new login");
    assert_eq!(ground.exec(&format!("cat {FILE}")), "after");
    assert_eq!(ground.exec(TRACES), "");
    let diff = before.diff(&ground.files());
    assert!(diff.iter().all(|line| line.contains(FILE)), "{diff:?}");
    // Longer than the guard waits.
    tokio::time::sleep(LIMIT + Duration::from_secs(2)).await;
    assert_eq!(ground.exec(&format!("cat {FILE}")), "after");
    assert_eq!(ground.apply(&step("after\n")).await.expect("nothing to do"), 0);
}

async fn what_must_hold_is_asked_for_only_if_it_held(ground: &mut Ground<'_>) {
    // It holds before, and the step breaks it.
    let mut breaking = step("breaking\n");
    breaking.must_hold(format!(
        "if grep -q breaking {FILE}; then echo 'pods do not reach DNS'; exit 1; fi"
    ));
    let error = ground.apply(&breaking).await.expect_err("it does not hold");
    let back = error.downcast::<TakenBack>().expect("taken back");
    assert!(back.why.contains("pods do not reach DNS"), "{back:?}");
    assert_eq!(back.marker.changes, [format!("file {FILE}: replace, 9 bytes, 0644 root:root")]);
    assert_eq!(ground.exec(&format!("cat {FILE}")), "after");
    assert_eq!(ground.exec(TRACES), "");
    // It never held: that is not the step's doing.
    let mut unrelated = step("unrelated\n");
    unrelated.must_hold("echo broken before; exit 1");
    assert_eq!(ground.apply(&unrelated).await.expect("it is confirmed"), 1);
}

async fn a_change_that_fails_takes_the_step_back(ground: &mut Ground<'_>) {
    let mut failing = step("failing\n");
    let fail = Script::new("echo no such luck >&2\nexit 1\n");
    failing.ensure(Command::new("luck", "try", "false", fail).undo(Script::new(":\n")));
    let error = ground.apply(&failing).await.expect_err("it fails");
    assert!(error.is::<ChangeFailed>() && error.is::<TakenBack>(), "{error:#}");
    assert_eq!(ground.exec(&format!("cat {FILE}")), "unrelated");
    assert_eq!(ground.exec(TRACES), "");
}

/// As far as a run comes that is killed before it confirms.
async fn left_alone<'a>(ground: &'a Ground<'_>, step: &'a Step, run: &'a str) {
    let connection = &ground.connection;
    let planned = oceanid::engine::plan(connection, &[step]).await.expect("a look");
    let mut watch = Watch::new("tethys", connection, run, step, LIMIT);
    let intent = Intent::new(run, 0, "law", &planned[0].subject, &planned[0].change);
    watch.add([intent.clone()]);
    watch.arm().await.expect("it is armed");
    let script = intent.wrap(&planned[0].change.apply, Some(&watch.marker));
    let output = Remote::run(connection, &script, &|_: &str| ()).await;
    assert_eq!(output.expect("it runs").status, 0);
}

async fn a_run_that_dies_is_undone_after_the_last_change(ground: &mut Ground<'_>) {
    left_alone(ground, &step("dying\n"), "law-dying").await;
    assert_eq!(ground.exec(&format!("cat {FILE}")), "dying");
    let undone = || Ok((ground.exec(&format!("cat {FILE}")) == "unrelated").then_some(()));
    let state = || ground.exec("ls /var/lib/oceanid/guard; systemctl list-timers --all --no-pager");
    wait_for(LIMIT + Duration::from_secs(5), "the guard", undone, state).expect("it fires");
    let receipt = ground.exec("cat /var/lib/oceanid/receipts/law-dying.jsonl");
    wait_for(
        Duration::from_secs(5),
        "the guard's end",
        || Ok((ground.exec("ls /var/lib/oceanid/guard").contains("fired")).then_some(())),
        state,
    )
    .expect("it ends");
    assert!(receipt.contains(r#"{"entry":"guard","from":0,"to":1}"#), "{receipt}");
    // The next run hears of it before it changes anything, once.
    let error = ground.apply(&step("next\n")).await.expect_err("it is told first");
    let back = error.downcast::<TakenBack>().expect("taken back");
    assert!(back.why.starts_with("no new login had confirmed it within 6 s"), "{back:?}");
    assert_eq!((back.marker.run.as_str(), back.left.len()), ("law-dying", 0));
    assert_eq!(ground.exec(&format!("cat {FILE}")), "unrelated");
    assert_eq!(ground.exec(TRACES), "");
}

/// The operator's machine slept: the guard has fired, or was never there.
async fn a_change_is_not_made_without_its_guard(ground: &Ground<'_>) {
    let (step, connection) = (step("late\n"), &ground.connection);
    let planned = oceanid::engine::plan(connection, &[&step]).await.expect("a look");
    let change = &planned[0].change;
    let watch = Watch::new("tethys", connection, "law-late", &step, LIMIT);
    let intent = Intent::new("law-late", 0, "law", &planned[0].subject, change);
    let script = intent.wrap(&change.apply, Some(&watch.marker));
    let output = Remote::run(connection, &script, &|_: &str| ()).await.expect("it runs");
    assert_eq!(output.status, 5, "{output:?}");
    assert!(output.stderr.contains("armed no more"), "{output:?}");
    assert_eq!(ground.exec(&format!("cat {FILE}")), "unrelated");
}

/// The connection broke in mid-change: what goes on there must not come after the undo.
async fn a_change_that_still_runs_is_ended_before_it_is_undone(ground: &Ground<'_>) {
    let mut step = Step::new("law");
    let slow = format!("echo first >{FILE}; sleep 60; echo last >{FILE}\n");
    let undo = Script::new(format!("echo unrelated >{FILE}\n"));
    let limit = Duration::from_secs(90);
    let slow = Script::new(slow).deadline(limit);
    step.ensure(Command::new("slow", "change slowly", "false", slow).undo(undo));
    let connection = &ground.connection;
    let planned = oceanid::engine::plan(connection, &[&step]).await.expect("a look");
    let change = &planned[0].change;
    let mut watch = Watch::new("tethys", connection, "law-slow", &step, limit);
    let intent = Intent::new("law-slow", 0, "law", &planned[0].subject, change);
    watch.add([intent.clone()]);
    watch.arm().await.expect("it is armed");
    let script = intent.wrap(&change.apply, Some(&watch.marker));
    let deaf = |_: &str| ();
    let running = Remote::run(connection, &script, &deaf);
    let back = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        watch.take_back(&deaf).await
    };
    let (ended, back) = tokio::join!(running, back);
    assert_ne!(ended.expect("it is told").status, 0, "it was ended");
    assert_eq!(back.expect("taken back").left, Vec::<String>::new());
    assert_eq!(ground.exec(&format!("cat {FILE}")), "unrelated");
    assert_eq!(ground.exec(TRACES), "");
}

async fn a_reboot_in_between_undoes_it(ground: &mut Ground<'_>) {
    left_alone(ground, &step("rebooting\n"), "law-reboot").await;
    let verdict = "systemd-analyze verify /etc/systemd/system/oceanid-guard.service 2>&1";
    assert_eq!(ground.exec(verdict), "", "systemd finds fault with the unit");
    ground.host.reboot().expect("it reboots");
    assert_eq!(ground.exec(&format!("cat {FILE}")), "unrelated");
    let why = ground.exec("cat /var/lib/oceanid/guard/why");
    assert!(why.ends_with(" boot"), "{why}");
}
