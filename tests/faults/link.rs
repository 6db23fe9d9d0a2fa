//! A link that is cut, a host that freezes: noticed in time, never half a file, and the next run goes on.

use std::fs;
use std::time::{Duration, Instant};

use lab::{Host, HostSpec, Lab, Topology};

use crate::drill::{Site, Watched, strays};

/// Well below the 20 s and what reporting takes.
const NOTICED: Duration = Duration::from_secs(20);

/// So much that a cut can come in its midst, bytes.
const UPLOAD: usize = 24_000_000;

fn assert_noticed(run: &mut Watched, host: &Host) {
    let (code, took) = run.finish();
    assert_eq!(code, Some(1), "a lost host is a failure: {:#?}", run.seen);
    assert!(took < NOTICED, "noticed only after {took:?}");
    let said = run.failure(host.name());
    assert!(said.contains("\"kind\":\"lost\""), "{said}");
    assert!(said.contains("the connection to `"), "{said}");
    assert!(said.contains("broke"), "{said}");
}

#[test]
fn a_link_cut_while_apt_runs_is_noticed_and_apt_ends_its_work() {
    let lab =
        Lab::up(Topology::of(vec![HostSpec::new("cut"), HostSpec::new("frozen")])).expect("a lab");
    std::thread::scope(|scope| {
        for name in ["cut", "frozen"] {
            let lab = &lab;
            scope.spawn(move || {
                let (site, host) = (Site::new(lab, &[name]), lab.host(name));
                let mut run = site.watch();
                run.reach("change-started", "packages");
                run.progress("apt-get");
                if name == "cut" { host.cut() } else { host.freeze() }.expect("a fault");
                assert_noticed(&mut run, host);
                if name == "cut" { host.mend() } else { host.thaw() }.expect("mended");
                site.converge();
                site.assert_whole(&[name]);
            });
        }
    });
}

#[test]
fn a_link_cut_in_mid_upload_leaves_the_old_file() {
    let lab = Lab::up(Topology::one()).expect("a lab");
    let (mut site, host) = (Site::new(&lab, &["tethys"]), lab.host("tethys"));
    site.converge();
    let path = host.root().join("etc/rancher/k3s/config.yaml");
    let new = host.root().join("etc/rancher/k3s/config.yaml.oceanid-new");
    let old = fs::read(&path).expect("the old file");

    // The lab's kernel needs the first.
    let keys = |more: &[String]| {
        let arguments = [&[String::from("fail-cgroupv1=false")], more].concat();
        toml::Table::from_iter([(String::from("kubelet-arg"), arguments.into())])
    };
    site.set("k3s", "server", keys(&[format!("node-labels={}", "x".repeat(UPLOAD))]));
    let mut run = site.watch();
    run.reach("change-started", "file /etc/rancher/k3s/config.yaml");
    let begun = Instant::now();
    while fs::metadata(&new).map_or(0, |meta| meta.len()) == 0 {
        assert!(begun.elapsed() < NOTICED, "no upload begins");
        std::thread::sleep(Duration::from_millis(1));
    }
    host.cut().expect("cut");
    let arrived = fs::metadata(&new).expect("an upload in its midst").len();
    assert!(arrived < UPLOAD as u64, "the cut came too late");
    assert_noticed(&mut run, host);
    assert_eq!(fs::read(&path).expect("the file"), old, "never half a file");

    host.mend().expect("mended");
    site.set("k3s", "server", keys(&[]));
    site.converge();
    assert_eq!(fs::read(&path).expect("the file"), old);
    let begun = Instant::now();
    while !strays(host).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(70), "{} is left over", strays(host));
        std::thread::sleep(Duration::from_millis(200));
    }
    site.assert_whole(&["tethys"]);
}
