//! The step `host` on real hosts of both releases: in force, stable, mended, and taken back; needs root.

#[path = "support/lab.rs"]
#[expect(dead_code, reason = "other tests leave their hosts as they are")]
mod operator;

use lab::{Host, HostSpec, Manifest, Privilege, Release, Topology};
use operator::Operator;
use serde_json::Value;

const BOOTSTRAP: [&str; 4] = ["bootstrap", "--yes", "--only", "prepare,host"];
const PLAN: [&str; 5] = ["plan", "--diff", "--detailed-exitcode", "--only", "prepare,host"];
/// What runs, logs or remembers by itself.
const APART: [&str; 4] = [
    "/var/lib/oceanid",
    "/var/lib/fail2ban",
    "/var/lib/apt",
    // It switches itself off at the next full hour.
    "/etc/systemd/system/timers.target.wants/apt-listchanges.timer",
];
/// Everything that the step may start or restart.
const STARTS: &str = "systemctl show systemd-journald.service fail2ban.service auditd.service \
                      NetworkManager.service apt-daily.timer -p Id,ActiveState,InvocationID; cat /run/nm-reloads";

/// Lets calypso look like a machine of its own, and fakes what a container cannot have: an audit
/// in the kernel, a time daemon that sets the clock, and `NetworkManager`.
const LIKE_A_MACHINE: &str = r#"
rm /run/systemd/container
mkdir -p /run/systemd/timesync && : >/run/systemd/timesync/synchronized
fake() { printf '#!/bin/sh\n%s\n' "$2" >/usr/local/sbin/$1; chmod 755 /usr/local/sbin/$1; }
fake auditctl 'if [ "$1" = -l ]; then cat /run/fake-audit; fi'
fake augenrules 'cat /etc/audit/rules.d/*.rules | grep ^-w >/run/fake-audit || :'
drop_in() { mkdir -p /etc/systemd/system/$1.service.d; printf "$2" >/etc/systemd/system/$1.service.d/fake.conf; }
drop_in auditd '[Service]\nType=exec\nExecStart=\nExecStart=/bin/sleep infinity\n'
drop_in audit-rules '[Service]\nExecStart=\nExecStart=/bin/true\n'
mkdir -p /etc/NetworkManager/conf.d
printf '[Service]\nExecStart=/bin/sleep infinity\nExecReload=/bin/sh -c "echo again >>/run/nm-reloads"\n' \
    >/etc/systemd/system/NetworkManager.service
systemctl daemon-reload
systemctl start NetworkManager
"#;

/// root is warned of a weak password, and may set it; here in a copy.
const WEAK: &str = "unshare -m sh -c 'cp -a /etc /run/etc; mount --bind /run/etc /etc; \
                    echo root:hunter2 | chpasswd 2>&1'; rm -r /run/etc";

/// Holds the lock on apt's lists for a while, as cloud-init does on a fresh machine.
const ANOTHER_APT: &str = r#"systemd-run -q -p Type=forking perl -e 'use Fcntl;
    exit if fork; $0 = "another-apt"; my $lock = pack("s s x4 q q l x4", F_WRLCK, 0, 0, 0, 0);
    open my $lists, ">>", "/var/lib/apt/lists/lock"; fcntl($lists, F_SETLK, $lock) or die; sleep 4'
    "#;

#[test]
fn what_cannot_lock_anybody_out_is_in_force_stable_mended_and_taken_back() {
    let hosts = vec![
        HostSpec::new("tethys"),
        HostSpec::new("calypso").release(Release::Debian13).login("debian", Privilege::Sudo),
    ];
    let operator = Operator::hardening(Topology::of(hosts));
    // It has a card for the hardening alone: nothing is installed for it without `[gpu]`.
    operator.edit(|table| {
        let nodes = table["node"].as_array_mut().expect("nodes");
        nodes[1].as_table_mut().expect("a node").insert("gpu".to_owned(), true.into());
    });
    operator.lab.host("calypso").exec(LIKE_A_MACHINE).expect("a shell");
    let bare = manifests(&operator);
    operator.lab.host("tethys").exec(ANOTHER_APT).expect("it has the lock");
    let first = operator.run(&BOOTSTRAP).exits(0);
    assert!(first.stderr.contains("waiting for another-apt (process"), "{}", first.stderr);
    assert!(first.stderr.contains("2 hosts: 0 unchanged, 2 changed"), "{}", first.stderr);
    a_second_run_changes_nothing(&operator);
    both_have(&operator);
    ufw_agrees(operator.lab.host("tethys"));
    ufw_agrees(operator.lab.host("calypso"));
    the_old_sshd_has_fail2ban(operator.lab.host("tethys"));
    the_machine_with_a_gpu_has(operator.lab.host("calypso"));

    operator.run(&["rollback", "--yes"]).exits(0);
    let taken_back = manifests(&operator);
    only_packages_stay(&bare, &taken_back);

    operator.run(&BOOTSTRAP).exits(0);
    drift_is_shown_and_mended(&operator);
    // The run that mended, then the one before it.
    operator.run(&["rollback", "--yes"]).exits(0);
    operator.run(&["rollback", "--yes"]).exits(0);
    // As it was found by the run that mended: somebody had switched it off.
    let timer =
        "! systemctl -q is-active apt-daily.timer && systemctl -q enable --now apt-daily.timer";
    operator.lab.host("calypso").exec(timer).expect("it was off");
    for (before, after) in taken_back.iter().zip(manifests(&operator)) {
        assert_eq!(before.diff(&after), Vec::<String>::new());
    }
}

fn manifests(operator: &Operator) -> [Manifest; 2] {
    ["tethys", "calypso"].map(|name| operator.lab.host(name).manifest(&APART).expect("readable"))
}

fn a_second_run_changes_nothing(operator: &Operator) {
    let starts = || ["tethys", "calypso"].map(|name| operator.lab.host(name).output(STARTS));
    let starts = || starts().map(|output| output.expect("systemd answers").stdout);
    let (begun, files) = (starts(), manifests(operator));
    let second = operator.run(&BOOTSTRAP).exits(0);
    assert!(second.stderr.contains("2 hosts: 2 unchanged, 0 changed"), "{}", second.stderr);
    assert_eq!(starts(), begun, "a unit was restarted");
    for (before, after) in files.iter().zip(manifests(operator)) {
        assert_eq!(before.diff(&after), Vec::<String>::new());
    }
    operator.run(&PLAN).exits(0);
}

#[track_caller]
fn says(host: &Host, command: &str, expected: &str) {
    let said = host.exec(command).expect("a shell");
    assert!(said.contains(expected), "{}: `{command}` has no `{expected}`:\n{said}", host.name());
}

fn both_have(operator: &Operator) {
    for host in ["tethys", "calypso"].map(|name| operator.lab.host(name)) {
        for key in ["all.send_redirects", "default.accept_source_route", "all.accept_redirects"] {
            says(host, &format!("sysctl -n net.ipv4.conf.{key}"), "0");
        }
        says(host, "sysctl -n net.ipv4.conf.all.rp_filter net.ipv4.tcp_rfc1337", "2\n1\n");
        says(host, "sysctl -n net.ipv4.ip_forward", "1");
        says(host, "modprobe --showconfig", "install dccp /bin/true");
        let journald = "systemd-analyze cat-config systemd/journald.conf";
        says(host, journald, "Storage=persistent\nSystemMaxUse=300M");
        says(host, "ls /var/log/journal/*/system.journal", "system.journal");
        says(host, "apt-config dump", "APT::Periodic::Unattended-Upgrade \"1\"");
        says(host, "apt-config dump", "Unattended-Upgrade::Automatic-Reboot \"false\"");
        says(host, "systemctl is-active apt-daily.timer apt-daily-upgrade.timer", "active\nactive");
        says(host, "su -l nobody -s /bin/sh -c 'ulimit -Hc'", "0");
        says(host, "needrestart -b -r l", "NEEDRESTART-VER");
        says(host, "perl -c /etc/needrestart/conf.d/oceanid.conf 2>&1", "syntax OK");
        says(host, "stat -c %a /etc/ssh/sshd_config /etc/cron.weekly", "600\n700");
        says(host, "sh -x /etc/cron.weekly/debsums 2>&1", "debsums -cs");
        says(host, "sysctl -n kernel.unprivileged_bpf_disabled kernel.ctrl-alt-del", "1\n0\n");
        says(host, WEAK, "BAD PASSWORD");
        says(host, "systemctl list-units --failed --no-legend; echo none", "none\n");
    }
}

/// ufw sets the parameters of a file of its own at every start: ours must not differ.
fn ufw_agrees(host: &Host) {
    let read =
        "dpkg-deb --fsys-tarfile /var/cache/apt/archives/ufw_*.deb | tar -xO ./etc/ufw/sysctl.conf";
    let theirs = host.exec(read).expect("the package is at hand");
    let ours = host.exec("cat /etc/sysctl.d/61-oceanid-harden.conf").expect("it is there");
    let mut common = 0;
    for line in theirs.lines().filter(|line| !line.starts_with('#')) {
        let Some((key, value)) = line.split_once('=') else { continue };
        let key = format!("-{} = ", key.replace('/', "."));
        if let Some(own) = ours.lines().find_map(|line| line.strip_prefix(&key)) {
            assert_eq!(own, value, "{key}");
            common += 1;
        }
    }
    assert!(common >= 6, "only {common} of ufw's parameters are among ours:\n{theirs}");
}

fn the_old_sshd_has_fail2ban(tethys: &Host) {
    says(tethys, "fail2ban-client status sshd", "Currently banned:\t0");
    let ignored = tethys.exec("fail2ban-client get sshd ignoreip").expect("it runs");
    let operator = tethys.exec("cat /var/lib/oceanid/operator").expect("it is recorded");
    let address = tethys.address().ip().to_string();
    for address in ["127.0.0.0/8", "::1", operator.trim(), &address] {
        assert!(ignored.contains(address), "no `{address}` in {ignored}");
    }
    tethys.exec("fail2ban-client set sshd banip 203.0.113.9").expect("it bans");
    says(tethys, "nft list table inet f2b-table", "203.0.113.9");
    tethys.exec("fail2ban-client set sshd unbanip 203.0.113.9").expect("it forgives");
}

fn the_machine_with_a_gpu_has(calypso: &Host) {
    says(calypso, "apt-config dump", "Unattended-Upgrade::Package-Blacklist:: \"libnvidia-\"");
    says(calypso, "systemctl is-enabled sleep.target hibernate.target || :", "masked\nmasked");
    says(calypso, "dpkg-query -W -f '${Status}' fail2ban 2>&1 || :", "no packages found");
    says(calypso, "cat /run/fake-audit", "-w /etc/rancher/k3s -p wa -k k3s");
    says(calypso, "cat /run/nm-reloads", "again\n");
    // Old rules of the distribution's own file stay.
    says(calypso, "ls /etc/audit/rules.d", "audit.rules");
    let unit = oceanid::templates::render(&oceanid::templates::host::SwapUnit).expect("it renders");
    std::fs::write(calypso.root().join("run-verify.swap"), unit).expect("written");
    let verify = "mkdir /run/v && mv /run-verify.swap /run/v/var-swapfile.swap && \
                  systemd-analyze verify /run/v/var-swapfile.swap 2>&1; rm -r /run/v";
    assert_eq!(calypso.exec(verify).expect("systemd accepts it"), "");
}

fn only_packages_stay(bare: &[Manifest; 2], taken_back: &[Manifest; 2]) {
    for (before, after) in bare.iter().zip(taken_back) {
        let left = before.diff(after);
        let ours = ["oceanid", "/etc/cron", "/etc/ssh", "sleep.target", "swapfile", "/etc/rancher"];
        // Of what debsums brought, the folders are as open again as it made them.
        let theirs = |line: &str| {
            line.contains("/etc/cron.daily/")
                || line.starts_with("+ /etc/cron.")
                    && (line.contains("/debsums ") || line.ends_with(" folder 0755 0:0"))
        };
        let ours =
            left.iter().filter(|line| ours.iter().any(|word| line.contains(word)) && !theirs(line));
        assert_eq!(ours.collect::<Vec<_>>(), Vec::<&String>::new());
    }
}

fn drift_is_shown_and_mended(operator: &Operator) {
    let (tethys, calypso) = (operator.lab.host("tethys"), operator.lab.host("calypso"));
    tethys
        .exec(
            "sysctl -qw net.ipv4.conf.all.send_redirects=1; chmod 0644 /etc/ssh/sshd_config; \
             echo SystemMaxUse=9G >>/etc/systemd/journald.conf.d/10-oceanid.conf; \
             rm /etc/fail2ban/jail.d/oceanid.conf",
        )
        .expect("a shell");
    calypso
        .exec("systemctl -q unmask sleep.target; >/run/fake-audit; systemctl -q disable --now apt-daily.timer")
        .expect("a shell");
    let plan = operator.run(&PLAN).exits(2).stdout;
    for line in [
        "- net.ipv4.conf.all.send_redirects = 1",
        "- /etc/ssh/sshd_config 0644",
        "-SystemMaxUse=9G",
        "+bantime = 1h",
        "mask sleep.target",
        "audit rules: load",
        "unit apt-daily.timer: enable, start",
    ] {
        assert!(plan.contains(line), "no `{line}` in\n{plan}");
    }
    let mut arguments = BOOTSTRAP.to_vec();
    arguments.push("--json");
    let done = operator.run(&arguments).exits(0).events("change-done");
    let text = |event: &Value, key: &str| event[key].as_str().expect("text").to_owned();
    let mut done: Vec<String> = done
        .iter()
        .map(|event| format!("{}: {}", text(event, "host"), text(event, "subject")))
        .collect();
    done.sort();
    let expected = [
        "calypso: audit rules",
        "calypso: unit apt-daily.timer",
        "calypso: units sleep.target, suspend.target, hibernate.target, hybrid-sleep.target",
        "tethys: file /etc/fail2ban/jail.d/oceanid.conf",
        "tethys: file /etc/systemd/journald.conf.d/10-oceanid.conf",
        "tethys: kernel parameters",
        "tethys: modes of files",
        "tethys: unit fail2ban.service",
        "tethys: unit systemd-journald.service",
    ];
    assert_eq!(done, expected);
    operator.run(&PLAN).exits(0);
    both_have(operator);
}
