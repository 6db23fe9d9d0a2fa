//! kill -9 of oceanid at every boundary: the next run goes on, and the end is the same.

use std::collections::BTreeSet;
use std::thread;

use lab::{Fault, Host, HostSpec, Lab, Manifest, Privilege, Release, Topology};
use serde_json::Value;

use crate::drill::{Site, says};

/// Changes that take so long that a kill in their midst is a case of its own.
const LONG: &[&str] = &["packages", "program /usr/local/bin/k3s", "unit k3s.service"];

/// Files whose content is of one host alone: keys made at a start, caches with times in them.
const OWN: &[&str] = &[
    "/etc/rancher/k3s/agent-token",
    "/etc/rancher/k3s/config.yaml",
    "/etc/rancher/k3s/k3s.yaml",
    "/etc/rancher/node/password",
    "/var/cache/apt/pkgcache.bin",
    "/var/cache/ldconfig/aux-cache",
];

fn is(event: &Value, kind: &str) -> bool {
    event["event"] == kind
}

/// Every run is killed at its first change that is done, until there is nothing left to do.
fn kill_after_each_change(site: &Site<'_>) -> Vec<String> {
    let mut killed = Vec::new();
    for _ in 0..40 {
        let mut run = site.watch();
        let Some(event) = run.until(|event| is(event, "change-done")) else {
            assert_eq!(run.finish().0, Some(0), "the last run: {:#?}", run.seen);
            return killed;
        };
        run.kill();
        killed.push(event["subject"].as_str().expect("a subject").to_owned());
    }
    panic!("no end after {killed:#?}");
}

/// Every run is killed where none was before: at a change's start, then in the midst of a long one.
fn kill_in_each_change(site: &Site<'_>) -> BTreeSet<String> {
    let mut killed = BTreeSet::new();
    let mut amidst = "";
    for _ in 0..60 {
        let mut run = site.watch();
        let mut current = String::new();
        let mut waited = amidst.is_empty();
        let stop = loop {
            let Some(event) = run.until(|_| true) else { break None };
            waited |= says(&event, &format!("a change of an earlier run: {amidst}"));
            if is(&event, "change-started") {
                event["subject"].as_str().expect("a subject").clone_into(&mut current);
            }
            let inside = is(&event, "progress") && LONG.contains(&current.as_str());
            let place = format!("{} {current}", if inside { "amidst" } else { "before" });
            if (inside || is(&event, "change-started")) && killed.insert(place) {
                break Some(inside);
            }
        };
        // Downloads and starts may end before the next run looks; apt never does.
        assert!(waited || amidst != "packages", "nobody waits for apt: {:#?}", run.seen);
        let Some(inside) = stop else {
            assert_eq!(run.finish().0, Some(0), "the last run: {:#?}", run.seen);
            return killed;
        };
        run.kill();
        amidst = LONG.iter().find(|long| inside && **long == current).copied().unwrap_or_default();
    }
    panic!("no end after {killed:#?}");
}

/// What a bootstrap made of a host; without what no two hosts have in common.
fn made(bare: &Manifest, host: &Host) -> Vec<String> {
    let now = host.manifest(&["/var/lib/oceanid"]).expect("manifest");
    let own = |line: &str| OWN.iter().find(|path| line.contains(&format!(" {path}"))).copied();
    let kept = bare.diff(&now).into_iter();
    kept.map(|line| own(&line).map_or(line.clone(), |path| format!("{} {path}", &line[..1])))
        .collect()
}

/// The lines that only one of both has.
fn apart<'a>(one: &'a [String], other: &'a [String]) -> impl Iterator<Item = &'a String> {
    let missing = |line: &&String| !other.contains(line);
    one.iter().filter(missing).chain(other.iter().filter(|line| !one.contains(line)))
}

fn config(host: &Host) -> String {
    let text = host.exec("cat /etc/rancher/k3s/config.yaml").expect("exec");
    text.replace(&host.address.to_string(), "ADDRESS").replace(host.name(), "NAME")
}

#[test]
fn a_run_killed_at_any_boundary_is_finished_by_the_next() {
    let names = ["calm", "after", "amidst"];
    // As a user with sudo: sudo stands between the connection and the change, and must outlive both.
    let host = |name: &&str| {
        HostSpec::new(name).release(Release::Debian13).login("debian", Privilege::Sudo)
    };
    let topology = Topology::of(names.iter().map(host).collect());
    let lab = Lab::up(topology).expect("a lab");
    lab.releases().expect("releases").fault("/k3s", Fault::Slow(6_000_000));
    let [calm, after, amidst] = names.map(|name| {
        let bare = lab.host(name).manifest(&["/var/lib/oceanid"]).expect("manifest");
        (Site::new(&lab, &[name]), bare, lab.host(name))
    });
    thread::scope(|scope| {
        let changed = scope.spawn(|| {
            let mut run = calm.0.watch();
            assert_eq!(run.finish().0, Some(0), "undisturbed: {:#?}", run.seen);
            let done = run.seen.iter().filter(|event| is(event, "change-done"));
            done.map(|event| event["subject"].as_str().expect("text").replace("calm", "HOST"))
                .collect::<Vec<_>>()
        });
        let ended = scope.spawn(|| kill_after_each_change(&after.0));
        let places = scope.spawn(|| kill_in_each_change(&amidst.0));
        let changed = changed.join().expect("the undisturbed run");
        let ended: Vec<_> =
            ended.join().expect("kills").iter().map(|name| name.replace("after", "HOST")).collect();
        assert_eq!(ended, changed, "every boundary was met once, in order");
        let places = places.join().expect("kills");
        let started = places.iter().filter(|place| place.starts_with("before ")).count();
        assert!(started + 2 >= changed.len(), "too few starts were met: {places:#?}");
        assert!(places.iter().filter(|place| place.starts_with("amidst ")).count() >= 2);
    });
    let wanted = made(&calm.1, calm.2);
    assert_receipts(calm.2, Uploads::Whole);
    for (site, bare, host) in [&after, &amidst] {
        let made = made(bare, host);
        let differs: Vec<_> = apart(&made, &wanted).collect();
        assert!(differs.is_empty(), "{} is not as an undisturbed host: {differs:#?}", host.name());
        assert_eq!(config(host), config(calm.2), "{}", host.name());
        site.assert_whole(&[host.name()]);
        assert_receipts(host, Uploads::Cut);
    }
}

/// How a change ends whose upload broke off.
const CUT: i32 = 74;

/// What a host saw of uploads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Uploads {
    Whole,
    Cut,
}

/// Every change that was begun is in a receipt, and what ended has its outcome after it.
fn assert_receipts(host: &Host, may_be_cut: Uploads) {
    let text = host.exec("cat /var/lib/oceanid/receipts/*.jsonl").expect("exec");
    let (mut intents, mut outcomes) = (0, 0);
    let mut numbers = BTreeSet::new();
    for line in text.lines() {
        let entry: Value = serde_json::from_str(line).expect("a receipt's line is whole");
        match entry["entry"].as_str() {
            Some("intent") => {
                intents += 1;
                let name = format!("{} of {}", entry["number"], entry["run"]);
                assert!(numbers.insert(name.clone()), "number {name} was given twice:\n{text}");
            }
            Some("outcome") => {
                outcomes += 1;
                // A kill may cut an upload, of which nothing comes.
                let cut = entry["status"] == CUT;
                assert!(entry["status"] == 0 || cut && may_be_cut == Uploads::Cut, "{line}");
            }
            other => panic!("{other:?} in {line}"),
        }
    }
    assert!(intents >= 10, "{intents} intents in\n{text}");
    assert_eq!(intents, outcomes, "the changes went on without us, each to its end:\n{text}");
}
