//! Every way of locking oneself out by one's own hardening: each ends with the host reachable as before.

use std::thread;
use std::time::{Duration, Instant};

use lab::{Host, HostSpec, Lab, Manifest, Privilege, Release, Topology};

use crate::drill::{Outcome, Site, Watched, assert_clean};

/// How long a host waits in these drills.
const GUARD: Duration = Duration::from_secs(8);
/// How much later it must be reachable again.
const AFTER: Duration = Duration::from_secs(30);
const DROP_IN: &str = "file /etc/ssh/sshd_config.d/00-oceanid.conf";
const SSHD: &str = "unit ssh.service";
const FIREWALL: &str = "firewall";
/// What grows, and what only a login touches.
const OWN: &[&str] = &["/var/lib/oceanid"];

#[test]
fn no_hardening_locks_anybody_out_for_good() {
    let hosts = vec![
        HostSpec::new("old"),
        HostSpec::new("new").release(Release::Debian13).login("debian", Privilege::Sudo),
    ];
    let lab = Lab::up(Topology::of(hosts)).expect("a lab");
    thread::scope(|scope| {
        for name in ["old", "new"] {
            let lab = &lab;
            scope.spawn(move || Drill::new(lab, name).all());
        }
    });
}

/// One host as a cluster of its own.
struct Drill<'a> {
    site: Site<'a>,
    host: &'a Host,
}

impl<'a> Drill<'a> {
    fn new(lab: &'a Lab, name: &str) -> Self {
        let mut site = Site::new(lab, &[name]);
        site.set("cluster", "guard-seconds", i64::try_from(GUARD.as_secs()).expect("small"));
        site.set("harden", "ssh", true);
        site.set("harden", "firewall", "ufw");
        let host = lab.host(name);
        // Packages stay, so they are no part of what must come back.
        let install = "apt-get -q update; DEBIAN_FRONTEND=noninteractive apt-get -qy install ufw";
        let installed = host.output_for(Duration::from_secs(120), install).expect("nsenter runs");
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
        Self { site, host }
    }

    fn all(mut self) {
        self.a_drop_in_that_refuses_us_is_taken_back();
        self.a_rule_that_drops_ssh_is_taken_back();
        self.wrong_admin_networks_are_refused_and_when_forced_taken_back();
        self.a_run_that_is_killed_is_taken_back_and_the_next_one_says_so();
        self.a_second_run_waits_for_the_guard_and_changes_nothing();
        self.a_link_that_is_cut_is_taken_back();
        self.a_reboot_in_between_is_taken_back();
        self.a_slow_confirmation_is_never_taken_back();
    }

    fn files(&self) -> Manifest {
        self.host.manifest(OWN).expect("readable")
    }

    /// The host is as `before`, can be entered, and nothing of the guard is left.
    fn assert_as_before(&self, before: &Manifest, drill: &str) {
        let left = before.diff(&self.files());
        // sshd's and ufw's own records of having been started.
        assert_eq!(left, Vec::<String>::new(), "{drill}");
        let entered = self.site.run(&["plan", "--only", "ssh"]);
        assert_eq!(entered.code, Some(0), "{drill}: not reachable as before\n{}", entered.stderr);
        let units = "systemctl list-units --all --plain --no-legend 'oceanid-guard*'";
        assert_eq!(self.host.exec(units).expect("a shell"), "", "{drill}");
        assert_clean(self.host);
    }

    fn a_drop_in_that_refuses_us_is_taken_back(&mut self) {
        let before = self.files();
        self.site.set("harden", "sshd", vec!["AllowUsers nobody"]);
        let outcome = self.site.run(&["bootstrap", "--yes", "--only", "ssh"]);
        assert_taken_back(&outcome, "accepts none of the offered keys", "refused user");
        assert!(outcome.said().contains(DROP_IN), "{}", outcome.stderr);
        self.site.unset("harden", "sshd");
        self.assert_as_before(&before, "refused user");
    }

    fn a_rule_that_drops_ssh_is_taken_back(&self) {
        self.host.exec("ufw deny 22/tcp").expect("ufw takes it");
        let refused = self.site.run(&["bootstrap", "--yes", "--only", "firewall"]);
        assert_eq!(refused.code, Some(1), "{}", refused.stderr);
        assert!(refused.said().contains("somebody's rule `ufw deny 22/tcp`"), "{}", refused.stderr);
        self.host.exec("ufw --force delete deny 22/tcp").expect("ufw takes it");
        // Another one that comes before ours, and shuts us out all the same.
        let rule = "deny from 198.51.100.0/24";
        self.host.exec(&format!("ufw {rule}")).expect("ufw takes it");
        let before = self.files();
        let outcome = self.site.run(&["bootstrap", "--yes", "--only", "firewall"]);
        assert_taken_back(&outcome, "no new login had confirmed it", "deny");
        self.assert_as_before(&before, "deny");
        let rules = self.host.exec("ufw show added").expect("ufw answers");
        assert!(rules.contains(&format!("ufw {rule}")), "it was there before: {rules}");
        self.host.exec(&format!("ufw --force delete {rule}")).expect("ufw takes it");
    }

    fn wrong_admin_networks_are_refused_and_when_forced_taken_back(&mut self) {
        let before = self.files();
        self.site.set("harden", "admin-networks", vec!["203.0.113.0/24"]);
        let refused = self.site.run(&["bootstrap", "--yes", "--only", "firewall"]);
        assert_eq!(refused.code, Some(1), "{}", refused.stderr);
        assert!(refused.said().contains("admin-networks"), "{}", refused.stderr);
        assert_eq!(before.diff(&self.files()), Vec::<String>::new(), "nothing was to be changed");
        self.site.set("harden", "trust-admin-networks", true);
        let forced = self.site.run(&["bootstrap", "--yes", "--only", "firewall"]);
        assert_taken_back(&forced, "no new login had confirmed it", "admin-networks");
        self.site.unset("harden", "admin-networks");
        self.site.unset("harden", "trust-admin-networks");
        self.assert_as_before(&before, "admin-networks");
    }

    /// A run that is killed, as nothing else can be, right after its last change of `step`.
    fn killed_after(&self, step: &str, subject: &str) -> Watched {
        let mut run = self.site.watch_only(&["--only", step]);
        run.reach("change-done", subject);
        run.kill();
        run
    }

    fn a_run_that_is_killed_is_taken_back_and_the_next_one_says_so(&self) {
        let before = self.files();
        self.killed_after("firewall", FIREWALL);
        thread::sleep(GUARD + Duration::from_secs(6));
        let told = self.site.run(&["plan", "--only", "firewall"]);
        assert_eq!(told.code, Some(5), "a plan only warns: {}", told.stderr);
        let next = self.site.run(&["bootstrap", "--yes", "--only", "firewall"]);
        assert_taken_back(&next, "no new login had confirmed it within 8 s", "kill -9");
        self.assert_as_before(&before, "kill -9");
    }

    fn a_second_run_waits_for_the_guard_and_changes_nothing(&self) {
        let before = self.files();
        self.killed_after("ssh", SSHD);
        let second = self.site.run(&["bootstrap", "--yes", "--only", "ssh"]);
        assert_taken_back(&second, "no new login had confirmed it within 8 s", "second run");
        assert!(second.said().contains("an earlier run died in `ssh`"), "{}", second.stderr);
        self.assert_as_before(&before, "second run");
    }

    fn a_link_that_is_cut_is_taken_back(&self) {
        let before = self.files();
        let mut run = self.site.watch_only(&["--only", "ssh"]);
        run.reach("change-done", SSHD);
        self.host.cut().expect("a bridge");
        thread::sleep(GUARD + Duration::from_secs(6));
        let held = self.host.exec("ls /var/lib/oceanid/guard").expect("a shell");
        assert!(held.contains("fired"), "it heals while nobody can reach it: {held}");
        self.host.mend().expect("a bridge");
        let mended = Instant::now();
        let (code, _) = run.finish();
        assert_eq!(code, Some(5), "{:#?}", run.seen);
        assert!(mended.elapsed() < AFTER, "it took {:?} to notice", mended.elapsed());
        assert!(run.failure(self.host.name()).contains("back by itself"), "{:#?}", run.seen);
        self.assert_as_before(&before, "link cut");
    }

    fn a_reboot_in_between_is_taken_back(&self) {
        let before = self.files();
        let mut run = self.site.watch_only(&["--only", "ssh"]);
        run.reach("change-done", SSHD);
        self.host.power_cycle().expect("it boots");
        let (code, _) = run.finish();
        assert_eq!(code, Some(5), "{:#?}", run.seen);
        let failure = run.failure(self.host.name());
        assert!(failure.contains("the host was restarted"), "{failure}");
        self.assert_as_before(&before, "reboot");
    }

    fn a_slow_confirmation_is_never_taken_back(&mut self) {
        self.site.set("cluster", "guard-seconds", 20);
        let mut run = self.site.watch_only(&["--only", "ssh"]);
        run.reach("change-done", SSHD);
        self.host.cut().expect("a bridge");
        thread::sleep(Duration::from_secs(11));
        self.host.mend().expect("a bridge");
        assert_eq!(run.finish().0, Some(0), "{:#?}", run.seen);
        thread::sleep(Duration::from_secs(22));
        let again = self.site.run(&["plan", "--only", "ssh", "--detailed-exitcode"]);
        assert_eq!(again.code, Some(0), "it was taken back: {}{}", again.stdout, again.stderr);
    }
}

fn assert_taken_back(outcome: &Outcome, why: &str, drill: &str) {
    assert_eq!(outcome.code, Some(5), "{drill}: {}", outcome.stderr);
    let said = outcome.said();
    assert!(said.contains("back by itself"), "{drill}: {said}");
    assert!(said.contains(why), "{drill}: no `{why}` in {said}");
    assert!(outcome.took < GUARD + AFTER, "{drill} took {:?}", outcome.took);
}
