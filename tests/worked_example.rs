//! The step that CONTRIBUTING.md adds, compiled and run as it stands there; needs root.

mod support;

use std::fs;
use std::sync::atomic::AtomicBool;

use oceanid::engine::{self, Run};
use support::{Deaf, Here};

// begin
use oceanid::actions::File;
use oceanid::step::Step;

/// What `motd` makes true on a host: whoever logs in reads whose machine it is.
fn motd(cluster: &str, path: &str) -> Step {
    let mut step = Step::new("motd");
    let text =
        format!("This host belongs to the cluster {cluster}. Changes are made by oceanid.\n");
    step.ensure(File::new(path, text).mode(0o644));
    step
}
// end

async fn apply(here: &Here, wanted: &Step) {
    let stop = AtomicBool::new(false);
    let mut run =
        Run { host: "here", remote: here, observer: &Deaf, name: "run", stop: &stop, changes: 0 };
    run.apply(&[wanted], None).await.expect("it is applied");
}

#[tokio::test]
async fn the_step_is_planned_made_and_then_has_nothing_to_do() {
    let here = Here::new("dash");
    let path = here.path("motd");
    let step = motd("ocean", &path);
    let before = here.tree();
    let planned = engine::plan(&here, &[&step]).await.expect("it can be looked at");
    assert_eq!(planned.len(), 1);
    assert_eq!(planned[0].subject, format!("file {path}"));
    assert_eq!(here.tree(), before, "looking changes nothing");
    apply(&here, &step).await;
    let text = fs::read_to_string(&path).expect("it was written");
    assert!(text.starts_with("This host belongs to the cluster ocean."), "{text}");
    assert!(here.state("receipts").exists());
    assert!(here.receipt().contains(&path), "what was done can be taken back");
    let again = engine::plan(&here, &[&step]).await.expect("it can be looked at");
    assert!(again.is_empty(), "a second run does nothing: {again:?}");
}

#[test]
fn the_text_shows_the_code_that_is_run() {
    let own = include_str!("worked_example.rs");
    let (_, rest) = own.split_once("// begin\n").expect("a mark");
    let (code, _) = rest.split_once("// end\n").expect("a mark");
    let text = fs::read_to_string("CONTRIBUTING.md").expect("it is there");
    assert!(text.contains(&format!("```rust\n{code}```")), "CONTRIBUTING.md shows other code");
}
