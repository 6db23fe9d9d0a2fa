//! One run at a time on a host: who holds it is told, and who is dead does not.

use std::fs;

use lab::{Host, HostSpec, Lab, Topology};
use serde_json::json;

use crate::drill::{Site, assert_clean};

fn set_lock(host: &Host, lock: &serde_json::Value) {
    let state = host.root().join("var/lib/oceanid");
    host.exec("mkdir -p -m 0700 /var/lib/oceanid").expect("exec");
    fs::write(state.join("lock"), format!("{lock}\n")).expect("writable");
}

/// A lock as another machine writes it, taken and given by `date` on the host.
fn foreign(host: &Host, taken: &str, expires: &str) -> serde_json::Value {
    let time = |when: &str| {
        let text = host.exec(&format!("date -u -d '{when}' +%FT%TZ")).expect("exec");
        text.trim().to_owned()
    };
    json!({
        "run": "20260101T000000Z-abcdef",
        "owner": "ines@elsewhere",
        "boot": "00000000-1111-2222-3333-444444444444",
        "pid": 1,
        "purpose": "join calypso",
        "taken": time(taken),
        "expires": time(expires),
    })
}

#[test]
fn a_lock_of_another_machine_is_respected_until_it_is_unlocked_or_expires() {
    let lab = Lab::up(Topology::one()).expect("a lab");
    let site = Site::new(&lab, &["tethys"]);
    let host = lab.host("tethys");
    set_lock(host, &foreign(host, "-10 minutes", "+50 minutes"));
    let bare = host.manifest(&["/var/lib/oceanid"]).expect("manifest");

    let refused = site.run(&["bootstrap", "--yes"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    for part in
        ["`tethys` is held by `join calypso` of ines@elsewhere since ", "oceanid unlock tethys"]
    {
        assert!(refused.said().contains(part), "no `{part}` in\n{}", refused.stderr);
    }
    let now = host.manifest(&["/var/lib/oceanid"]).expect("manifest");
    assert_eq!(bare.diff(&now), Vec::<String>::new(), "a refused run changes nothing");
    assert_eq!(site.run(&["plan"]).code, Some(0), "looking needs no lock");

    let unlocked = site.run(&["unlock", "tethys"]);
    assert_eq!(unlocked.code, Some(0), "{}", unlocked.stderr);
    assert_eq!(unlocked.stdout, "tethys: removed the lock of ines@elsewhere (join calypso)\n");
    let again = site.run(&["unlock", "tethys"]);
    assert_eq!(again.stdout, "tethys: there was no lock\n");

    set_lock(host, &foreign(host, "-2 hours", "-1 hour"));
    site.converge();
    site.assert_whole(&["tethys"]);
}

#[test]
fn of_two_runs_at_once_the_second_says_who_holds_the_host() {
    let lab = Lab::up(Topology::of(vec![HostSpec::new("tethys")])).expect("a lab");
    let site = Site::new(&lab, &["tethys"]);
    let mut first = site.watch();
    first.reach("change-started", "packages");
    first.progress("apt-get");
    let second = site.run(&["bootstrap", "--yes"]);
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    assert!(
        second.said().contains("`tethys` is held by `bootstrap` of operator@"),
        "the second run must say who holds the host:\n{}",
        second.stderr
    );
    assert_eq!(first.finish().0, Some(0), "the first run goes on: {:#?}", first.seen);
    assert_clean(lab.host("tethys"));
    let third = site.converge();
    assert!(third.stderr.contains("1 unchanged"), "{}", third.stderr);
}
