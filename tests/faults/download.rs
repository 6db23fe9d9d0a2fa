//! A download that is not what it should be: refused, nothing installed, and the message says which.

use std::fs;
use std::time::Duration;

use lab::{Fault, Host, Lab, Topology};

use crate::drill::{Outcome, Site, strays};

/// The report of a failed run without what differs from run to run.
fn snapshot(name: &str, outcome: &Outcome) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.add_filter(r"(198\.51\.100|10\.213\.\d+)\.\d+:\d+", "MIRROR");
    settings.add_filter(r"v\d+\.\d+\.\d+\+k3s\d", "VERSION");
    settings.add_filter(r"[0-9a-f]{64}", "SHA256");
    settings.add_filter(r"in (\d+ min )?\d+(\.\d)? s", "in SECONDS s");
    settings.add_filter(r"after \d+ milliseconds", "after MANY milliseconds");
    settings.add_filter(r"\d+ (out of \d+ )?bytes", "SIZE bytes");
    let Outcome { code, stdout, stderr, .. } = outcome;
    let text = format!("exit status: {code:?}\nstdout:\n{stdout}stderr:\n{}", unwrapped(stderr));
    settings.bind(|| insta::assert_snapshot!(format!("download_{name}"), text));
}

/// The error alone; where its lines break depends on how long the lab's addresses are.
fn unwrapped(stderr: &str) -> String {
    let mut text = String::new();
    for line in stderr.lines().skip_while(|line| !line.starts_with("error: ")) {
        let words = line.trim_start();
        let indent = line.len() - words.len();
        let label = ["caused by:", "hint:", "more:", "its last"]
            .iter()
            .any(|label| words.starts_with(label));
        let goes_on = indent > 1 && indent != 4 && !label;
        text.push_str(if goes_on { " " } else { "\n" });
        text.push_str(if goes_on { words } else { line });
    }
    text.trim_start().to_owned()
}

fn faults() -> [(&'static str, Fault); 5] {
    [
        ("wrong_bytes", Fault::WrongBytes),
        ("truncated", Fault::Truncated(100_000)),
        ("html", Fault::Html),
        ("status_404", Fault::Status(404)),
        ("status_500", Fault::Status(500)),
    ]
}

fn assert_nothing_installed(host: &Host) {
    let there = host.exec("ls /usr/local/bin; ls /etc/systemd/system/k3s* 2>/dev/null || :");
    assert_eq!(there.expect("exec"), "", "nothing of k3s may be there");
    assert_eq!(strays(host), "");
}

#[test]
fn a_host_refuses_every_program_that_is_not_the_locked_one() {
    let lab = Lab::up(Topology::one()).expect("a lab");
    let site = Site::new(&lab, &["tethys"]);
    let (host, releases) = (lab.host("tethys"), lab.releases().expect("releases"));
    for (name, fault) in faults() {
        releases.fault("/k3s", fault);
        let refused = site.run(&["bootstrap", "--yes"]);
        assert_nothing_installed(host);
        snapshot(&format!("of_the_program_{name}"), &refused);
        assert_eq!(refused.code, Some(1), "{name}: {}", refused.stderr);
        assert!(refused.took < Duration::from_secs(60), "{name} took {:?}", refused.took);
        releases.heal();
    }
    let lists = || releases.requests().iter().filter(|path| path.contains("sha256sum")).count();
    assert_eq!(lists(), 1, "the first run locked the sum, the others asked for none");

    // The same version, but another program: its own list of sums is not asked.
    let version = &lab.k3s().expect("k3s").version;
    let genuine = fs::read(&lab.k3s().expect("k3s").path).expect("k3s");
    releases.add(&format!("/k3s/{version}/k3s"), b"#!/bin/sh\nexit 0\n".to_vec());
    let refused = site.run(&["bootstrap", "--yes"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.said().contains("gave 17 bytes with sha256"), "{}", refused.stderr);
    assert_nothing_installed(host);
    assert_eq!(lists(), 1);

    releases.add(&format!("/k3s/{version}/k3s"), genuine);
    site.converge();
    site.assert_whole(&["tethys"]);
    let asked = releases.requests().len();
    site.converge();
    assert_eq!(releases.requests().len(), asked, "an unchanged cluster needs no network");
}

#[test]
fn a_list_of_sums_that_is_none_stops_the_run_before_any_host_is_touched() {
    let lab = Lab::up(Topology::one()).expect("a lab");
    let site = Site::new(&lab, &["tethys"]);
    let (host, releases) = (lab.host("tethys"), lab.releases().expect("releases"));
    let bare = host.manifest(&[]).expect("manifest");
    for (name, fault) in faults().into_iter().chain([("silent", Fault::Silent)]) {
        let fault = if let Fault::Truncated(_) = fault { Fault::Truncated(40) } else { fault };
        releases.fault("sha256sum-amd64.txt", fault);
        let refused = site.run(&["bootstrap", "--yes"]);
        snapshot(&format!("of_the_sums_{name}"), &refused);
        assert_eq!(refused.code, Some(1), "{name}: {}", refused.stderr);
        assert!(refused.took < Duration::from_secs(40), "{name} took {:?}", refused.took);
        releases.heal();
    }
    let now = host.manifest(&[]).expect("manifest");
    assert_eq!(bare.diff(&now), Vec::<String>::new(), "no host may be touched");
    assert!(!site.file.with_file_name("oceanid.lock").exists(), "nothing is locked");
}

#[test]
fn a_mirror_that_says_nothing_is_given_up() {
    let lab = Lab::up(Topology::one()).expect("a lab");
    let site = Site::new(&lab, &["tethys"]);
    lab.releases().expect("releases").fault("/k3s", Fault::Silent);
    let refused = site.run(&["bootstrap", "--yes"]);
    assert_nothing_installed(lab.host("tethys"));
    snapshot("of_the_program_silent", &refused);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.took < Duration::from_secs(100), "took {:?}", refused.took);
}
