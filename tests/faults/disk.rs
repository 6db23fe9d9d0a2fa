//! A full disk: it is said, nothing is half installed, and what is freed is enough.

use lab::{Fault, HostSpec, Lab, Topology};

use crate::drill::{Site, strays};

/// MiB; k3s asks for 2048 of them to be free.
const DISK: u64 = 4096;

fn lab() -> Lab {
    Lab::up(Topology::of(vec![HostSpec::new("tethys").disk(DISK)])).expect("a lab")
}

#[test]
fn a_host_without_room_is_refused_before_it_is_touched() {
    let lab = lab();
    let site = Site::new(&lab, &["tethys"]);
    let host = lab.host("tethys");
    host.fill_disk(64).expect("fill");
    let bare = host.manifest(&[]).expect("manifest");
    let refused = site.run(&["bootstrap", "--yes"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(
        refused.said().contains("0 MiB are free in /var/lib; k3s needs 2048"),
        "{}",
        refused.stderr
    );
    assert_eq!(bare.diff(&host.manifest(&[]).expect("manifest")), Vec::<String>::new());
    host.free_disk().expect("free");
    host.exec("rm -f /var/tmp/lab-rest").expect("exec");
    site.converge();
    site.assert_whole(&["tethys"]);
}

#[test]
fn a_disk_that_fills_up_in_a_run_is_said_and_leaves_nothing_half_written() {
    let lab = lab();
    let site = Site::new(&lab, &["tethys"]);
    let host = lab.host("tethys");
    let releases = lab.releases().expect("releases");
    releases.fault("/k3s", Fault::Slow(1_000_000));

    let mut run = site.watch();
    run.reach("change-started", "program /usr/local/bin/k3s");
    run.progress(" MB from ");
    host.fill_disk(64).expect("fill");
    assert_eq!(run.finish().0, Some(1), "{:#?}", run.seen);
    let said = run.failure("tethys");
    assert!(said.contains("cannot download http://"), "the failed download is named: {said}");
    assert!(said.contains("no space left on the disk of /usr/local/bin"), "and why: {said}");
    assert_eq!(host.exec("ls /usr/local/bin").expect("exec"), "", "nothing is half installed");
    assert_eq!(strays(host), "");
    releases.heal();

    host.free_disk().expect("free");
    let mut run = site.watch();
    run.reach("change-started", "program /usr/local/bin/k3s");
    run.reach("change-done", "program /usr/local/bin/k3s");
    host.fill_disk(64).expect("fill");
    // To the last block.
    host.output("dd if=/dev/zero of=/var/tmp/lab-rest bs=1K status=none").expect("exec");
    assert_eq!(run.finish().0, Some(1), "{:#?}", run.seen);
    let said = run.failure("tethys").to_lowercase();
    assert!(said.contains("no space left"), "a full disk is called so: {said}");
    assert_eq!(strays(host), "");

    host.free_disk().expect("free");
    host.exec("rm -f /var/tmp/lab-rest").expect("exec");
    site.converge();
    site.assert_whole(&["tethys"]);
}
