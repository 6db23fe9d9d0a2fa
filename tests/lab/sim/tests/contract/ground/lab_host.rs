//! A host of the lab, with a real systemd: what a real k3s needs.

use super::{Machine, NO_PODS, PACE, Role, program};
use lab::{HostSpec, Lab, Topology};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::rc::Rc;

/// A host of a lab of two.
pub struct LabHost {
    lab: Rc<Lab>,
    host: lab::Host,
    unit: Option<(String, Role)>,
    starts: usize,
    notifies: bool,
}

impl LabHost {
    /// Boots a lab of two hosts and takes the one of that name.
    pub fn new(name: &str) -> Self {
        let hosts = ["tethys", "styx"].map(HostSpec::new);
        let lab = Lab::up(Topology::of(hosts.into())).expect("a lab");
        Self::of(Rc::new(lab), name)
    }

    fn of(lab: Rc<Lab>, name: &str) -> Self {
        let host = lab.host(name).clone();
        fs::copy(program(), host.root().join("usr/local/bin/k3s")).expect("the program is copied");
        lend_tools(&host.root());
        set(&host, PACE.iter().chain([&NO_PODS]));
        let mut made = Self { lab, host, unit: None, starts: 0, notifies: true };
        let said = made.text("k3s --version");
        let minor = said.split('.').nth(1).and_then(|part| part.parse::<u32>().ok());
        // facts 1.4: agents of old versions had a unit without notification.
        made.notifies = minor.is_none_or(|minor| minor > 21);
        made
    }

    fn text(&self, command: &str) -> String {
        String::from_utf8_lossy(&self.output(command).stdout).into_owned()
    }

    fn property(&self, name: &str) -> String {
        let Some((unit, _)) = &self.unit else { return String::new() };
        self.text(&format!("systemctl show --value -p {name} {unit}")).trim().to_owned()
    }
}

fn set<'a>(host: &lab::Host, variables: impl Iterator<Item = &'a (&'a str, &'a str)>) {
    let lines: Vec<String> = variables.map(|(name, value)| format!("{name}={value}\n")).collect();
    fs::write(host.root().join("etc/sim.env"), lines.concat()).expect("the host's files are ours");
}

// A bare host has none of these, and installing them would need a network.
fn lend_tools(root: &Path) {
    let script = r#"set -eu; cd "$1"; mkdir -p opt/tools usr/local/bin
for tool in curl openssl sysctl; do
  file=$(command -v $tool); cp "$file" opt/tools/
  ldd "$file" | grep -o '/[^ ]*' | while read -r library; do cp -Ln "$library" opt/tools/; done
  printf '#!/bin/sh\nexec /opt/tools/ld-linux-x86-64.so.2 --library-path /opt/tools /opt/tools/%s "$@"\n' $tool >usr/local/bin/$tool
  chmod 755 usr/local/bin/$tool
done"#;
    let status = Command::new("sh").args(["-c", script, "sh"]).arg(root).status();
    assert!(status.is_ok_and(|status| status.success()), "the tools are lent");
}

impl Machine for LabHost {
    fn address(&self) -> String {
        self.host.address().ip().to_string()
    }

    fn output(&self, command: &str) -> Output {
        self.host.output(command).expect("the host runs commands")
    }

    fn allow_pods(&mut self) {
        set(&self.host, PACE.iter());
        // From the packages that the image holds.
        let install = "command -v iptables || apt-get install --yes --no-download iptables";
        let installed = self.output(install);
        assert!(installed.status.success(), "{}", super::said(&installed));
    }

    fn settings(&mut self, settings: &[(&'static str, &'static str)]) {
        set(&self.host, PACE.iter().chain([&NO_PODS]).chain(settings));
    }

    fn start(&mut self, role: Role) {
        self.starts += 1;
        let unit = format!("contract-{}", self.starts);
        let kind = if role == Role::Agent && !self.notifies { "exec" } else { "notify" };
        let properties = format!(
            "-p Type={kind} -p NotifyAccess=all -p KillMode=process -p Delegate=yes -p TasksMax=infinity -p TimeoutStartSec=infinity"
        );
        let verb = role.verb();
        let started = self.output(&format!(
            "systemd-run -q --no-block --unit={unit} {properties} /usr/local/bin/k3s {verb}"
        ));
        assert!(started.status.success(), "{}", super::said(&started));
        self.unit = Some((unit, role));
    }

    fn stop(&mut self) {
        if let Some((unit, _)) = &self.unit {
            self.output(&format!("systemctl stop {unit}"));
        }
    }

    fn kill(&mut self) {
        if let Some((unit, _)) = &self.unit {
            self.output(&format!("systemctl kill --kill-whom=main -s KILL {unit}"));
        }
    }

    fn ended(&mut self) -> Option<i32> {
        match self.property("ActiveState").as_str() {
            "failed" | "inactive" => Some(self.property("ExecMainStatus").parse().unwrap_or(-1)),
            _ => None,
        }
    }

    fn notified(&self) -> bool {
        let unnoticed = matches!(self.unit, Some((_, Role::Agent))) && !self.notifies;
        if unnoticed {
            return self.log().contains("k3s agent is up and running")
                || self.output("curl -sk https://127.0.0.1:6444/ping").status.success();
        }
        self.property("ActiveState") == "active"
    }

    fn log(&self) -> String {
        let Some((unit, _)) = &self.unit else { return String::new() };
        self.text(&format!("journalctl --sync; journalctl -b -o cat --no-pager -u {unit}"))
    }

    fn beside(&self, name: &str) -> Box<dyn Machine> {
        Box::new(Self::of(Rc::clone(&self.lab), name))
    }
}
