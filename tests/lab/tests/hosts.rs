//! The lab itself: what it promises of its hosts, tried with OpenSSH's own client.

use std::process::{Command, Output};
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use lab::{HostSpec, Lab, Topology};

fn ssh(lab: &Lab, host: &str, command: &str) -> Output {
    let spec = &lab.host(host).spec;
    let target = format!("{}@{}", spec.login.user, lab.host(host).address);
    let mut options = vec![
        "-F".to_owned(),
        "/dev/null".to_owned(),
        "-oBatchMode=yes".to_owned(),
        "-oConnectTimeout=5".to_owned(),
        format!("-oUserKnownHostsFile={}", lab.known_hosts().display()),
        format!("-i{}", lab.key().display()),
    ];
    if host == "calypso" {
        // `-J` does not pass options on to the jump.
        let proxy = format!(
            "-oProxyCommand=ssh {} -W %h:%p jump@{}",
            options.join(" "),
            lab.host("gate").address
        );
        options.push(proxy);
    }
    Command::new("timeout")
        .arg("20")
        .arg("ssh")
        .args(options)
        .args([&target, command])
        .output()
        .expect("ssh is installed")
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn every_host_is_entered_in_its_own_way() -> Result<()> {
    let lab = Lab::up(Topology::four())?;
    assert_eq!(said(&ssh(&lab, "tethys", "id -un")), "root");
    assert_eq!(said(&ssh(&lab, "styx", "sudo -n id -un")), "root");
    assert_eq!(said(&ssh(&lab, "calypso", "sudo -n id -un; hostname")), "root\ncalypso");
    assert!(!ssh(&lab, "meliae", "sudo -n true").status.success(), "a password is wanted");
    let password = "printf 'canary-sudo-meliae\\n' | sudo -k -S -p '' id -un";
    assert_eq!(said(&ssh(&lab, "meliae", password)), "root");
    assert!(!ssh(&lab, "meliae", "printf 'no\\n' | sudo -k -S -p '' id").status.success());

    let inward = format!("timeout 3 bash -c '</dev/tcp/{}/22'", lab.host("calypso").address);
    assert!(!lab.host("tethys").output(&inward)?.status.success(), "nobody reaches a home");
    let outward = format!("timeout 3 bash -c '</dev/tcp/{}/22'", lab.host("tethys").address);
    lab.host("calypso").exec(&outward)?;
    for host in lab.hosts() {
        assert_eq!(
            host.exec("systemctl is-system-running || :")?.trim(),
            "running",
            "{}",
            host.name()
        );
        let bare = host.exec("command -v curl iptables nft || :")?;
        assert_eq!(bare, "", "{} is bare", host.name());
    }
    let before = std::fs::read_to_string("/proc/sys/kernel/panic")?;
    lab.host("tethys").exec("sysctl -w kernel.panic=77 vm.overcommit_memory=1")?;
    assert_eq!(lab.host("tethys").exec("sysctl -n kernel.panic")?.trim(), "77");
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/panic")?, before, "it is the host's own");
    Ok(())
}

#[test]
fn a_hash_is_steady_while_idle_and_tells_which_file_changed() -> Result<()> {
    let lab = Lab::up(Topology::one())?;
    let host = lab.host("tethys");
    ssh(&lab, "tethys", "true");
    let before = host.manifest(&[])?;
    sleep(Duration::from_secs(5));
    said(&ssh(&lab, "tethys", "true"));
    let idle = host.manifest(&[])?;
    assert_eq!(before.diff(&idle), Vec::<String>::new());
    assert_eq!(before.hash(), idle.hash());
    host.exec("echo x >> /etc/motd; chmod 600 /etc/issue; rm /etc/debian_version")?;
    let diff = before.diff(&host.manifest(&[])?);
    assert_eq!(diff.len(), 3, "{diff:?}");
    assert!(before.diff(&host.manifest(&["/etc"])?).iter().all(|line| line.starts_with("- /etc")));
    Ok(())
}

#[test]
fn sshd_counts_connections_and_sessions() -> Result<()> {
    let lab = Lab::up(Topology::one())?;
    let before = lab.host("tethys").sshd_counts()?;
    said(&ssh(&lab, "tethys", "true"));
    said(&ssh(&lab, "tethys", "true"));
    let seen = lab.host("tethys").sshd_counts()? - before;
    assert_eq!((seen.connections, seen.sessions), (2, 2));
    Ok(())
}

#[test]
fn a_host_can_be_cut_off_frozen_rebooted_and_filled() -> Result<()> {
    let lab = Lab::up(Topology::of(vec![HostSpec::new("tethys").disk(256)]))?;
    let host = lab.host("tethys");
    host.cut()?;
    assert!(!ssh(&lab, "tethys", "true").status.success());
    host.mend()?;
    said(&ssh(&lab, "tethys", "true"));
    host.freeze()?;
    assert!(!ssh(&lab, "tethys", "true").status.success());
    host.thaw()?;
    said(&ssh(&lab, "tethys", "true"));
    host.kill_sshd()?;
    assert!(!ssh(&lab, "tethys", "true").status.success());
    host.start_sshd()?;
    host.exec("echo kept > /etc/lab-kept")?;
    host.reboot()?;
    assert_eq!(said(&ssh(&lab, "tethys", "cat /etc/lab-kept")), "kept");
    host.power_cycle()?;
    said(&ssh(&lab, "tethys", "true"));
    host.fill_disk(64)?;
    assert!(!host.output("dd if=/dev/zero of=/etc/big bs=1M count=1")?.status.success());
    host.free_disk()?;
    host.exec("dd if=/dev/zero of=/etc/big bs=1M count=1")?;
    Ok(())
}

#[test]
fn the_sampler_sees_a_secret_in_an_argument() -> Result<()> {
    let lab = Lab::up(Topology::one())?;
    let sampler = lab.host("tethys").ps_sampler();
    lab.host("tethys").exec("sh -c 'sleep 0.3; true canary-argument'")?;
    said(&ssh(&lab, "tethys", "sh -c 'sleep 0.3; : canary-session'"));
    let seen = sampler.stop();
    assert!(!seen.mentions("canary-session").is_empty());
    assert!(seen.mentions("canary-elsewhere").is_empty());
    Ok(())
}

#[test]
fn debian_packages_install() -> Result<()> {
    let lab = Lab::up(Topology::one())?;
    let host = lab.host("tethys");
    host.output_for(Duration::from_mins(2), "apt-get update -q && apt-get install -qy curl")?;
    host.exec("curl --version")?;
    Ok(())
}
