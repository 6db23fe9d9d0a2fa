//! What can go wrong with a host: it reboots, hangs, loses its sshd, its network or its disk.

use std::fs;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{BOOT, Host};
use crate::command::wait_for;

impl Host {
    /// Reboots the host and waits until it is up again.
    pub fn reboot(&self) -> Result<()> {
        let before = self.leader()?;
        self.output("systemctl reboot")?;
        self.wait_next(before)
    }

    /// Pulls the plug, puts it in again and waits until the host is up.
    pub fn power_cycle(&self) -> Result<()> {
        let before = self.leader()?;
        fs::write(self.dir.join("again"), "")?;
        kill(Pid::from_raw(i32::try_from(before)?), Signal::SIGKILL)?;
        self.wait_next(before)
    }

    /// Waits until the host has booted again after the systemd with process id `before`.
    pub fn wait_next(&self, before: u32) -> Result<()> {
        let again = || Ok(self.leader().ok().filter(|leader| *leader != before));
        wait_for(BOOT, &format!("`{}` to reboot", self.name()), again, || self.console())?;
        self.wait_up()
    }

    /// Kills sshd with every connection; nothing listens until [`Host::start_sshd`].
    pub fn kill_sshd(&self) -> Result<()> {
        // A unit that systemd restarts would be back within milliseconds.
        self.exec(
            "mkdir -p /run/systemd/system/ssh.service.d
             printf '[Service]\\nRestart=no\\n' > /run/systemd/system/ssh.service.d/lab.conf
             systemctl daemon-reload
             pkill -KILL -x 'sshd|sshd-session|sshd-auth' || :
             systemctl stop ssh",
        )
        .map(drop)
    }

    /// Ends [`Host::kill_sshd`].
    pub fn start_sshd(&self) -> Result<()> {
        self.exec("systemctl reset-failed ssh; systemctl start ssh").map(drop)
    }

    /// Stops every process of the host where it is; its kernel still answers.
    pub fn freeze(&self) -> Result<()> {
        self.set_frozen("FROZEN", "1")
    }

    /// Ends [`Host::freeze`].
    pub fn thaw(&self) -> Result<()> {
        self.set_frozen("THAWED", "0")
    }

    fn set_frozen(&self, first: &str, second: &str) -> Result<()> {
        let state = self.cgroup().join("freezer.state");
        if !state.exists() {
            fs::write(self.cgroup().join("cgroup.freeze"), second)?;
            return Ok(());
        }
        fs::write(&state, first)?;
        let reached = || Ok((fs::read_to_string(&state)?.trim() == first).then_some(()));
        wait_for(Duration::from_secs(10), "the cgroup freezer", reached, String::new)
    }

    /// Drops every packet to and from the host, silently.
    pub fn cut(&self) -> Result<()> {
        self.network()?.cut(self.name())
    }

    /// Ends [`Host::cut`].
    pub fn mend(&self) -> Result<()> {
        self.network()?.mend(self.name())
    }

    /// Lets the host's clock seem `seconds` ahead: to `date`, and to the stand-in's certificates.
    pub fn skew_clock(&self, seconds: i64) -> Result<()> {
        self.exec(&format!(
            "[ -e /run/lab-date ] || cp /usr/bin/date /run/lab-date
             printf '#!/bin/sh\nexec /run/lab-date -d \"%s seconds\" \"$@\"\n' {seconds} > /run/lab-skewed
             chmod 0755 /run/lab-skewed
             mount --bind /run/lab-skewed /usr/bin/date
             printf 'SIM_CLOCK=%s\n' {seconds} >> /etc/sim.env"
        ))
        .map(drop)
    }

    /// Ends [`Host::skew_clock`].
    pub fn set_clock(&self) -> Result<()> {
        self.exec("umount /usr/bin/date; sed -i '/^SIM_CLOCK=/d' /etc/sim.env").map(drop)
    }

    /// Shows `text` in the place of the file at `path`, or puts a file there.
    pub fn pretend(&self, path: &str, text: &str) -> Result<()> {
        self.exec(&format!(
            "fake=/run/lab-pretend-$(printf %s {path} | tr / -)
             printf '%s\n' '{text}' > \"$fake\"; chmod 0755 \"$fake\"
             [ -e {path} ] || {{ : > {path}; : > \"$fake.made\"; }}
             mount --bind \"$fake\" {path}"
        ))
        .map(drop)
    }

    /// Ends [`Host::pretend`].
    pub fn reveal(&self, path: &str) -> Result<()> {
        self.exec(&format!(
            "fake=/run/lab-pretend-$(printf %s {path} | tr / -)
             umount {path}; [ ! -e \"$fake.made\" ] || rm {path} \"$fake.made\""
        ))
        .map(drop)
    }

    /// Fills the host's disk until `kibibytes` are left; the host needs a disk of its own.
    pub fn fill_disk(&self, kibibytes: u64) -> Result<()> {
        if self.spec.disk.is_none() {
            bail!("`{}` has no disk of its own: `HostSpec::disk`", self.name());
        }
        self.exec(&format!(
            "free() {{ df --output=avail -k / | tail -n 1; }}
             # All but the last of it at once: allocation alone misses what it needs for itself.
             fallocate -l \"$(($(free) - {kibibytes} - 32768))K\" /var/tmp/lab-fill 2>/dev/null || :
             head -c \"$(($(free) - {kibibytes}))K\" /dev/zero >>/var/tmp/lab-fill ||
             # Others on the host may have written meanwhile.
             [ \"$(free)\" -le {kibibytes} ]"
        ))
        .map(drop)
    }

    /// Ends [`Host::fill_disk`].
    pub fn free_disk(&self) -> Result<()> {
        self.exec("rm -f /var/tmp/lab-fill").map(drop)
    }
}
