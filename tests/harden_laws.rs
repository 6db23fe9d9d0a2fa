//! The laws of the hardening's own actions, and which host gets which part of the step `host`; needs root.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use oceanid::action::{Action, Answer, FileKind, FileState, Undo, UnitState};
use oceanid::actions::{AuditRules, Command, File, Masked, Modes, OnlyOne, Reload, Sysctls};
use oceanid::cluster::{Cluster, Part};
use oceanid::engine::{self, Run};
use oceanid::facts::{self, Facts};
use oceanid::receipt;
use oceanid::releases::{Release, Releases};
use oceanid::remote::{Output, Remote as _};
use oceanid::script::{Script, quote};
use oceanid::secret;
use oceanid::step::Step;
use oceanid::steps::{self, Inputs, Terms};
use support::{Deaf, Here};

#[tokio::test]
async fn modes_are_only_ever_tightened_and_come_back() {
    for shell in ["dash", "bash"] {
        let here = Here::new(shell);
        let make = |name: &str, mode| {
            let path = here.path(name);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let (open, group) = (make("it's open", 0o755), make("group", 0o2750));
        let (tight, missing) = (make("tight", 0o500), here.path("missing"));
        let limits: Vec<(&str, u32)> =
            [&open, &group, &tight, &missing].map(|path| (path.as_str(), 0o700)).into();
        let mut step = Step::new("law");
        step.ensure(Modes::at_most(&limits));
        let before = here.tree();
        let planned = engine::plan(&here, &[&step]).await.unwrap();
        assert_eq!(planned[0].change.summary, "close 2 of 4 to others");
        let diff = planned[0].change.diff.clone().unwrap();
        assert!(diff.contains(&format!("- {open} 0755\n+ {open} 0700\n")), "{diff}");
        assert_eq!(here.tree(), before, "looking changed something");

        assert_eq!(apply(&here, &step).await, 1);
        let mode = |path: &str| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!([&open, &group, &tight].map(|path| mode(path)), [0o700, 0o700, 0o500]);
        assert_eq!(apply(&here, &step).await, 0);
        let undo = receipt::undo(&receipt::read(&here.receipt()).unwrap());
        for _ in 0..2 {
            assert_eq!(here.run(&undo, &|_: &str| ()).await.unwrap().status, 0);
            assert_eq!(here.tree(), before, "undo did not restore");
        }
    }
}

#[tokio::test]
async fn a_folder_that_an_earlier_change_brings_is_closed_too_and_comes_back() {
    for shell in ["dash", "bash"] {
        let here = Here::new(shell);
        let (open, late) = (here.path("open"), here.path("it's late"));
        for path in [&open, &late] {
            fs::create_dir(path).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o2755)).unwrap();
        }
        let before = here.tree();
        let hidden = here.path("hidden");
        fs::rename(&late, &hidden).unwrap();
        let come = format!("mv -- {} {}", quote(&hidden), quote(&late));
        let is_there = format!("[ -e {} ]", quote(&late));
        let mut step = Step::new("law");
        step.ensure(Command::new("late", "bring it", is_there, Script::new(come)));
        step.ensure(Modes::at_most(&[(open.as_str(), 0o700), (late.as_str(), 0o700)]));
        assert_eq!(apply(&here, &step).await, 2);
        let mode = |path: &str| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!([&open, &late].map(|path| mode(path)), [0o700, 0o700]);
        let undo = receipt::undo(&receipt::read(&here.receipt()).unwrap());
        for _ in 0..2 {
            assert_eq!(here.run(&undo, &|_: &str| ()).await.unwrap().status, 0);
            assert_eq!(here.tree(), before, "undo did not restore");
        }
    }
}

#[tokio::test]
async fn a_parameter_that_the_kernel_keeps_is_said_to_stay() {
    let here = Here::new("dash");
    let mut step = Step::new("law");
    step.ensure(Sysctls::where_known(&[("net.ipv4.ip_default_ttl", "99")]).until_reboot());
    let planned = engine::plan(&here, &[&step]).await.unwrap();
    assert!(matches!(planned[0].change.undo, Undo::Never));
}

async fn apply(here: &Here, step: &Step) -> u32 {
    let stopped = AtomicBool::new(false);
    let mut run = Run {
        host: "here",
        remote: here,
        observer: &Deaf,
        name: "run",
        stop: &stopped,
        changes: 0,
    };
    run.apply(&[step], None).await.unwrap();
    run.changes
}

#[tokio::test]
async fn a_parameter_that_the_kernel_does_not_have_is_left_out() {
    let here = Here::new("dash");
    let wanted: &[(&str, &str)] = &[("kernel.no_such_key", "1"), ("net.ipv4.ip_default_ttl", "99")];
    let mut step = Step::new("law");
    step.ensure(Sysctls::where_known(wanted));
    let planned = engine::plan(&here, &[&step]).await.unwrap();
    assert_eq!(planned[0].change.summary, "set 1 of 2");
    assert!(!planned[0].change.apply.text().contains("no_such_key"));
}

fn unit(load: &str, active: &str) -> Answer {
    let (load, active) = (load.to_owned(), active.to_owned());
    Answer::Unit(UnitState { load, active, ..UnitState::default() })
}

fn file(content: Option<&str>) -> Answer {
    Answer::File(content.map_or_else(FileState::default, |content| FileState {
        kind: FileKind::File,
        sha256: secret::sha256(content.as_bytes()),
        ..FileState::default()
    }))
}

#[test]
fn only_units_that_are_open_are_masked_and_unmasked() {
    let masked = Masked::units(&["a.target", "b.target"]);
    let both = [unit("masked", "inactive"), unit("masked", "inactive")];
    assert!(masked.diff(&both).unwrap().is_none());
    let one = [unit("masked", "inactive"), unit("loaded", "inactive")];
    let change = masked.diff(&one).unwrap().unwrap();
    assert_eq!(change.summary, "mask b.target");
    assert!(!format!("{:?}", change.undo).contains("a.target"), "somebody else masked it");
}

#[test]
fn two_that_do_the_same_are_refused_by_name() {
    let names = ["chrony.service", "ntpsec.service", "ntp.service"];
    let daemons = OnlyOne::of("time daemon", &names);
    let called = |name: &str, state: &str| {
        let Answer::Unit(unit) = unit("loaded", state) else { unreachable!() };
        Answer::Unit(UnitState { id: name.to_owned(), ..unit })
    };
    let running = |states: [&str; 3]| -> Vec<Answer> {
        names.iter().zip(states).map(|(name, state)| called(name, state)).collect()
    };
    let alias = [
        called("chrony.service", "inactive"),
        called("ntpsec.service", "active"),
        called("ntpsec.service", "active"),
    ];
    assert!(daemons.diff(&alias).unwrap().is_none(), "it is one that has two names");
    for fine in [["inactive"; 3], ["active", "inactive", "inactive"]] {
        assert!(daemons.diff(&running(fine)).unwrap().is_none());
    }
    let error = daemons.diff(&running(["active", "active", "inactive"])).unwrap_err().to_string();
    assert!(error.contains("`chrony.service` and `ntpsec.service` run at once"), "{error}");
    assert!(error.contains("systemctl disable --now chrony.service"), "{error}");
}

#[test]
fn a_unit_is_reloaded_once_for_each_content_and_only_where_it_runs() {
    let wanted = File::new("/etc/x", "new\n");
    let reload = Reload::with("x.service", &wanted);
    let stamp = format!("/etc/x\n{}\n", secret::sha256(b"new\n"));
    let running = || unit("loaded", "active");
    let diff = |seen: &[Answer]| reload.diff(seen).unwrap().is_some();
    assert!(diff(&[running(), file(None), file(None)]), "the file comes");
    assert!(diff(&[running(), file(Some(&stamp)), file(Some("old\n"))]), "the file changes");
    assert!(diff(&[running(), file(None), file(Some("new\n"))]), "a run died before the reload");
    assert!(!diff(&[running(), file(Some(&stamp)), file(Some("new\n"))]));
    assert!(!diff(&[unit("not-found", "inactive"), file(None), file(None)]));
}

#[test]
fn audit_rules_are_loaded_once_for_each_content_and_when_the_kernel_lost_them() {
    let wanted = File::new("/etc/audit/rules.d/x.rules", "-w /etc/passwd -p wa -k x\n");
    let rules = AuditRules::of(&wanted).folder("/etc/rancher/k3s", 0o755);
    let kernel = |status| Answer::Script(Output { status, ..Output::default() });
    let content = Some("-w /etc/passwd -p wa -k x\n");
    let diff = |seen: &[Answer]| rules.diff(seen).unwrap().is_some();
    assert!(diff(&[file(None), file(None), kernel(2)]));
    assert!(diff(&[file(Some("x")), file(Some("other")), kernel(0)]));
    assert!(diff(&[file(None), file(content), kernel(0)]), "a run died before loading");
    assert!(diff(&[file(Some("x")), file(content), kernel(1)]));
    assert!(!diff(&[file(Some("x")), file(content), kernel(0)]));
}

/// A rented server of 2 GB with Debian 12, as its facts say it; `more` is said besides.
fn facts(memory: u64, more: &str) -> Facts {
    let said = format!(
        "fact clock 1.5\nfact os debian\nfact os-version 12\nfact machine x86_64\nfact kernel 6.1\n\
         fact hostname x\nfact machine-id 0123\nfact cpus 2\nfact memory {}\n\
         fact disk-free 9000000 4096\nfact disk-kind ext2/ext3\nfact cgroups cpu memory\n\
         fact login root 203.0.113.7 50000 198.51.100.1 22\nfact sshd port 2222\n{more}",
        memory * 1024
    );
    facts::read(&Output { stdout: said, ..Output::default() }, 1.5).unwrap()
}

fn cluster() -> Cluster {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster.toml");
    oceanid::config::load(&file).unwrap().cluster
}

fn step(cluster: &Cluster, name: &str, facts: &Facts) -> Step {
    let k3s = Release { version: cluster.k3s.version.clone(), ..Release::default() };
    let releases = Releases { k3s, ..Releases::default() };
    let host = cluster.host(name).unwrap();
    let inputs = Inputs {
        cluster,
        host,
        facts,
        nodes: &[],
        first_server: None,
        datastore: None,
        gpus: None,
        releases: &releases,
        terms: Terms::default(),
    };
    let entry = steps::ALL.iter().find(|entry| entry.name == "host").unwrap();
    (entry.build)(&inputs).unwrap()
}

/// Whether the step `host` of tethys has something to do with `word`.
fn concerns(facts: &Facts, word: &str) -> bool {
    mentions(&step(&cluster(), "tethys", facts), word)
}

fn mentions(step: &Step, word: &str) -> bool {
    step.actions().iter().any(|action| format!("{action:?}").contains(word))
}

#[test]
fn a_swap_file_is_for_small_hosts_without_swap_and_stays_once_it_is_there() {
    assert!(concerns(&facts(1990, ""), "swapfile"));
    assert!(concerns(&facts(1990, "fact has-swap-file yes\n"), "swapfile"));
    assert!(!concerns(&facts(1990, "fact has-swap yes\n"), "swapfile"));
    assert!(!concerns(&facts(3950, ""), "swapfile"));
    assert!(!concerns(&facts(1990, "fact container yes\n"), "swapfile"));
    let mut full = facts(1990, "");
    full.disk_free_mib = 5000;
    let skipped = step(&cluster(), "tethys", &full);
    assert!(!mentions(&skipped, "swapfile"));
    assert_eq!(skipped.notes, ["no swap file: only 5000 MiB are free in /var"]);
    full.has_swap_file = true;
    assert!(concerns(&full, "swapfile"), "it takes its own room");
    full.disk_kind = String::from("btrfs");
    assert!(!concerns(&full, "swapfile"));
}

#[test]
fn a_word_in_the_configuration_goes_before_the_size_of_the_host() {
    let mut cluster = cluster();
    let large = facts(32_000, "fact has-swap yes\n");
    for part in [Part::Swap, Part::Audit] {
        cluster.hosts[0].harden.switches.insert(part, true);
    }
    assert!(mentions(&step(&cluster, "tethys", &large), "swapfile"));
    assert!(mentions(&step(&cluster, "tethys", &facts(980, "")), "auditd"));
    for part in [Part::Swap, Part::Audit] {
        cluster.hosts[0].harden.switches.insert(part, false);
    }
    let none = step(&cluster, "tethys", &facts(1990, ""));
    assert!(!mentions(&none, "swapfile") && !mentions(&none, "auditd"));
}

#[test]
fn audit_is_for_hosts_with_memory_and_a_kernel_of_their_own() {
    assert!(concerns(&facts(1900, ""), "auditd"));
    assert!(!concerns(&facts(980, ""), "auditd"));
    let inside = step(&cluster(), "tethys", &facts(4000, "fact container yes\n"));
    assert!(!mentions(&inside, "auditd"));
    assert!(inside.notes[0].contains("it is a container"), "{:?}", inside.notes);
    assert!(!mentions(&inside, "time daemon"), "its clock is the machine's");
}

#[test]
fn fail2ban_is_for_an_sshd_that_cannot_ban_by_itself() {
    let old = facts(980, "");
    for word in ["fail2ban", "port = 2222", "127.0.0.0/8 ::1 203.0.113.7 157.173.210.123"] {
        assert!(concerns(&old, word), "no `{word}`");
    }
    let able = "fact sshd persourcepenalties crash:90 authfail:5\n";
    assert!(!concerns(&facts(980, able), "fail2ban"));
    let elsewhere = facts(980, "fact operator 203.0.113.1\n");
    assert!(concerns(&elsewhere, "/var/lib/oceanid/operator"));
    assert!(!concerns(&elsewhere, "203.0.113.7"), "the first address stays");
    let mut cluster = cluster();
    cluster.hosts[0].harden.admin_networks = vec!["192.0.2.0/24".parse().unwrap()];
    assert!(mentions(&step(&cluster, "tethys", &old), "::1 192.0.2.0/24 157.173.210.123"));
}

#[test]
fn a_host_with_a_gpu_does_not_sleep_and_keeps_its_driver() {
    let gpu = step(&cluster(), "calypso", &facts(32_000, ""));
    assert!(mentions(&gpu, "hibernate.target") && mentions(&gpu, "\\\"libnvidia-\\\";"));
    assert!(!concerns(&facts(980, ""), "hibernate.target"));
    assert!(!concerns(&facts(980, ""), "nvidia"));
}

#[test]
fn every_part_can_be_switched_off() {
    let mut cluster = cluster();
    let host = &mut cluster.hosts[0];
    let parts = [
        Part::Ssh,
        Part::Bans,
        Part::Kernel,
        Part::Journal,
        Part::Upgrades,
        Part::Needrestart,
        Part::Time,
        Part::Audit,
        Part::Swap,
        Part::Sleep,
        Part::NetworkManager,
        Part::Files,
        Part::Passwords,
    ];
    host.harden.switches = parts.map(|part| (part, false)).into();
    host.harden.firewall = oceanid::cluster::Firewall::Off;
    let idle = step(&cluster, "tethys", &facts(1990, "fact has-network-manager yes\n"));
    assert_eq!(idle.actions().len(), 0, "{:?}", idle.actions());
}
