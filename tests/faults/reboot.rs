//! A reboot in the midst of a run: what matters survives, and the next run goes on.

use lab::{Host, HostSpec, Lab, Topology};

use crate::drill::Site;

/// Reboots in the midst of `subject`; the run must fail and say why, the next must converge.
fn survives(site: &Site<'_>, host: &Host, subject: &str, reboot: fn(&Host) -> anyhow::Result<()>) {
    let mut run = site.watch();
    run.reach("change-started", subject);
    run.progress("");
    let earlier = host.exec("cat /var/lib/oceanid/receipts/*.jsonl").expect("exec");
    reboot(host).expect("it boots again");
    let (code, took) = run.finish();
    assert!(code == Some(1), "a run whose host reboots fails ({code:?}): {:#?}", run.seen);
    assert!(took.as_secs() < 20, "noticed after {took:?}");
    let said = run.failure(host.name());
    assert!(said.contains("broke") || said.contains("cannot change"), "{said}");
    let now = host.exec("cat /var/lib/oceanid/receipts/*.jsonl").expect("exec");
    assert!(now.starts_with(&earlier), "receipts survive:\n{earlier}\nbecame\n{now}");
}

#[test]
fn a_host_that_reboots_in_the_midst_of_a_change_is_finished_by_the_next_run() {
    let topology = Topology::of(vec![HostSpec::new("orderly"), HostSpec::new("pulled")]);
    let lab = Lab::up(topology).expect("a lab");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (site, host) = (Site::new(&lab, &["orderly"]), lab.host("orderly"));
            survives(&site, host, "packages", Host::reboot);
            survives(&site, host, "unit k3s.service", Host::reboot);
            site.converge();
            site.assert_whole(&["orderly"]);
        });
        scope.spawn(|| {
            let (site, host) = (Site::new(&lab, &["pulled"]), lab.host("pulled"));
            survives(&site, host, "packages", Host::power_cycle);
            survives(&site, host, "unit k3s.service", Host::power_cycle);
            site.converge();
            site.assert_whole(&["pulled"]);
        });
    });
}
