//! What each kind of error is called, what there is to know about it, and what to type next.

use crate::engine::{ChangeFailed, NotHeld, NotPutBack, PutBack};
use crate::guard::{TakenBack, Unconfirmed};
use crate::lock::Held;
use crate::releases::NoSums;
use crate::remote::RemoteError;

use super::failure::Detail;
use super::kind::Kind;

/// The status of a script that the kernel killed: 128 + SIGKILL.
const KILLED: i32 = 137;
/// The status of a change that its deadline ended.
const LATE: i32 = 124;
/// The status of a change that waited in vain for one of an earlier run.
const STILL_RUNNING: i32 = 75;

/// What is known about an error beyond its message.
#[derive(Debug, Default)]
pub(super) struct Explained {
    pub kind: Kind,
    pub details: Vec<Detail>,
    pub causes: Vec<String>,
    pub hint: Option<String>,
}

impl Explained {
    fn new(kind: Kind, hint: String) -> Self {
        Self { kind, hint: Some(hint), ..Self::default() }
    }

    fn detail(mut self, label: &'static str, lines: &[String]) -> Self {
        self.details.push(Detail { label, lines: lines.to_vec() });
        self
    }

    fn cause(mut self, cause: &str) -> Self {
        self.causes.push(cause.to_owned());
        self
    }
}

pub(super) fn remote(error: &RemoteError, host: &str) -> Explained {
    match error {
        RemoteError::Jump(error) => jump(error, host),
        RemoteError::Unreachable { address, last, .. } => {
            Explained::new(Kind::Unreachable, unreachable(host, address, last)).cause(last)
        }
        RemoteError::Silent { address, .. } => Explained::new(
            Kind::Silent,
            format!(
                "something other than sshd may own that port, or the host is out of memory: \
                 `ssh-keyscan -p {} {}` shows whether it greets",
                port(address),
                name(address)
            ),
        ),
        RemoteError::Unusable { address, .. } => Explained::new(
            Kind::Unusable,
            format!("`ssh -p {} {}` shows what answers there", port(address), name(address)),
        ),
        RemoteError::Authentication { user, address, tried } => {
            authentication(host, user, address, tried)
        }
        RemoteError::HostKeyUnknown { fingerprint, .. } => Explained::new(
            Kind::HostKeyUnknown,
            format!(
                "on the console of {host}, `{}` must print the same; then `oceanid trust {host}`",
                fingerprint_command(fingerprint)
            ),
        )
        .detail("it shows", std::slice::from_ref(fingerprint)),
        RemoteError::HostKeyChanged { fingerprint, known, .. } => {
            key_changed(host, fingerprint, known)
        }
        RemoteError::HostKeyRevoked { fingerprint, known, .. } => Explained::new(
            Kind::HostKeyRevoked,
            format!(
                "make new keys on the console of {host} with `rm /etc/ssh/ssh_host_*` and `ssh-keygen -A`, \
                 then `oceanid trust {host}`"
            ),
        )
        .detail("it shows", std::slice::from_ref(fingerprint))
        .detail("marked as stolen in", std::slice::from_ref(known))
        .cause("somebody withdrew this key; nothing was sent to the host"),
        RemoteError::Privilege { user, reason, .. } => privilege(host, user, reason),
        RemoteError::Deadline { .. } => Explained::new(
            Kind::Deadline,
            format!("`oceanid facts {host}` shows whether the host answers at all; then run the same command again: it goes on from here"),
        ),
        RemoteError::Lost { reason, .. } => Explained::new(
            Kind::Lost,
            String::from(
                "a change that had begun runs to its end on the host; \
                 run the same command again: it waits for that and goes on",
            ),
        )
        .cause(reason),
        RemoteError::Local(_) => Explained::new(
            Kind::Local,
            String::from("`oceanid docs ssh` says where keys and passwords are looked for"),
        ),
    }
}

fn unreachable(host: &str, address: &str, last: &str) -> String {
    if last.contains("resolve") {
        return format!("check `address` of {host} in cluster.toml: the name leads nowhere");
    }
    if last.contains("jump host") {
        return format!("check `jump` of {host} in cluster.toml");
    }
    if last.contains("refused") {
        return format!(
            "the address answers, but nothing listens on port {}: check `port` of {host} in cluster.toml, \
             or start sshd on its console",
            port(address)
        );
    }
    format!(
        "is {host} up? check its `address` in cluster.toml, and that no firewall is between; \
         `nc -zv {} {}` tries the same",
        name(address),
        port(address)
    )
}

/// What is said of a hop that need not be a node of cluster.toml.
fn jump(error: &RemoteError, host: &str) -> Explained {
    let address = error.address().unwrap_or_default();
    let explained = remote(error, name(address));
    let hint = match error {
        RemoteError::HostKeyUnknown { fingerprint, .. } => format!(
            "on the console of the jump host {}, `{}` must print the same; then run this at a terminal, \
             where it asks",
            name(address),
            fingerprint_command(fingerprint)
        ),
        RemoteError::HostKeyChanged { fingerprint, known, .. } => format!(
            "do not ask over ssh: on the console of the jump host {}, run `{}`. If it prints the key shown \
             above, remove the old one from {known}, and run this at a terminal, where it asks. If it does \
             not, somebody is listening: do not connect",
            name(address),
            fingerprint_command(fingerprint)
        ),
        RemoteError::Authentication { user, .. } => format!(
            "let the jump host know a key with `ssh-copy-id -p {} {user}@{}`, or name its `IdentityFile` in \
             `~/.ssh/config`",
            port(address),
            name(address)
        ),
        _ => format!(
            "check `jump` of {host} in cluster.toml; `ssh -p {} {}` tries the same",
            port(address),
            name(address)
        ),
    };
    Explained { hint: Some(hint), ..explained }
}

fn authentication(host: &str, user: &str, address: &str, tried: &[String]) -> Explained {
    if tried.iter().any(|line| line.contains("passphrase is wrong")) {
        let hint =
            String::from("run this again and type it anew, or unlock the key with `ssh-add`");
        return Explained::new(Kind::Authentication, hint).detail("tried", tried);
    }
    if tried.iter().any(|line| line.contains("it is encrypted")) {
        let hint =
            String::from("run this at a terminal, where it asks, or unlock the key with `ssh-add`");
        return Explained::new(Kind::Authentication, hint).detail("tried", tried);
    }
    let hint = format!(
        "let the host know a key with `ssh-copy-id -p {} {user}@{}`, or name another `user` or `keys` \
         of {host} in cluster.toml",
        port(address),
        name(address)
    );
    Explained::new(Kind::Authentication, hint).detail("tried", tried)
}

fn key_changed(host: &str, fingerprint: &str, known: &str) -> Explained {
    let then = if known == "cluster.toml" {
        format!("write it as `host-key` of {host} in cluster.toml")
    } else {
        format!("remove the old one from {known}, then `oceanid trust {host}`")
    };
    let hint = format!(
        "do not ask over ssh: on the console of {host}, run `{}`. If it prints the key shown above, {then}. \
         If it does not, somebody is listening: do not connect",
        fingerprint_command(fingerprint)
    );
    Explained::new(Kind::HostKeyChanged, hint)
        .detail("it shows", &[fingerprint.to_owned()])
        .detail("another is known from", &[known.to_owned()])
        .cause(
            "either the host was installed anew, or another machine answers in its place; \
             nothing was sent to it",
        )
}

fn privilege(host: &str, user: &str, reason: &str) -> Explained {
    let hint = if user == "root" {
        format!("`oceanid docs ssh.user` says how {host} is entered")
    } else if reason.contains("there is no sudo") {
        format!(
            "install sudo on the console of {host}, or set its `user` in cluster.toml to `root`"
        )
    } else if reason.contains("password is wrong") {
        format!(
            "check `sudo-password` of {host} in cluster.toml, or leave it out to be asked at a terminal"
        )
    } else if reason.contains("not in the sudoers") {
        format!("on the console of {host}, `adduser {user} sudo` allows it")
    } else {
        format!(
            "set `sudo-password` of {host} in cluster.toml, or let `{user}` use sudo without one; \
             on the host, `sudo -l -U {user}` lists what it may do"
        )
    };
    Explained::new(Kind::Privilege, hint).cause(reason)
}

/// What prints the fingerprint on the host itself, beyond anybody on the way.
fn fingerprint_command(fingerprint: &str) -> String {
    let kind = ["ed25519", "ecdsa", "rsa"]
        .into_iter()
        .find(|kind| fingerprint.to_ascii_lowercase().contains(kind))
        .unwrap_or("ed25519");
    format!("ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub")
}

pub(super) fn change(error: &ChangeFailed) -> Explained {
    let ChangeFailed { host, step, output, .. } = error;
    let hint = match output.status {
        STILL_RUNNING => format!(
            "wait for it and run the same command again; `ssh {host} cat /var/lib/oceanid/running` names it"
        ),
        LATE => format!(
            "`journalctl -n 50` on {host} may tell what holds it up; \
             then run the same command again: it goes on from here ({step})"
        ),
        KILLED => format!(
            "out of memory? on the host, `journalctl -k -g oom` tells; \
             then run the same command again: it goes on from here ({step})"
        ),
        _ => format!(
            "`oceanid plan --diff --only {step} {host}` shows the change; \
             once the cause is mended, the same command goes on from here"
        ),
    };
    Explained::new(Kind::ChangeFailed, hint)
}

pub(super) fn not_held(error: &NotHeld) -> Explained {
    let NotHeld { host, step, .. } = error;
    let hint = format!(
        "something on the host sets it back; `oceanid plan --diff --only {step} {host}` shows what it is now"
    );
    Explained::new(Kind::NotHeld, hint)
}

pub(super) fn taken_back(error: &TakenBack) -> Explained {
    let TakenBack { host, marker, why, left } = error;
    let step = &marker.step;
    let hint = format!(
        "`oceanid plan --diff --only {step} {host}` shows the changes again; \
         mend the cause, then run the same command once more"
    );
    let label = if left.is_empty() { "taken back" } else { "it tried to take back" };
    let mut explained =
        Explained::new(Kind::TakenBack, hint).cause(why).detail(label, &marker.changes);
    if !left.is_empty() {
        explained = explained.detail("what could not be", left);
    }
    explained
}

pub(super) fn put_back(error: &PutBack) -> Explained {
    let PutBack { host, step, .. } = error;
    let hint = format!(
        "the lines above are of what did not come up; `oceanid plan --diff --only {step} {host}` shows it again: \
         mend cluster.toml, then run the same command once more"
    );
    Explained::new(Kind::PutBack, hint)
}

pub(super) fn not_put_back(error: &NotPutBack) -> Explained {
    let NotPutBack { host, step, .. } = error;
    let hint = format!(
        "k3s on {host} is down or unproven: mend cluster.toml and run the same command once more, \
         or `oceanid rollback {host}`; `oceanid plan --diff --only {step} {host}` shows what it is now"
    );
    Explained::new(Kind::NotPutBack, hint)
}

pub(super) fn unconfirmed(error: &Unconfirmed) -> Explained {
    let Unconfirmed { host, waited, .. } = error;
    let hint = format!(
        "the host was to take the step back by itself, which was not verified: nobody got in for {} s. \
         `oceanid facts {host}` tells once it can be reached; otherwise use its console, where \
         `cat /var/lib/oceanid/guard/*` tells how far it is",
        waited.as_secs()
    );
    Explained::new(Kind::Unconfirmed, hint)
}

pub(super) fn held(error: &Held) -> Explained {
    let Held { host, lock } = error;
    let hint = format!(
        "wait for that run to end; if it is dead, `oceanid unlock {host}` (by itself the lock ends at {})",
        lock.expires.strftime("%H:%M UTC")
    );
    Explained::new(Kind::Held, hint)
}

pub(super) fn no_sums(error: &NoSums) -> Explained {
    let key = if matches!(error, NoSums::NoVersion { .. }) { "channels" } else { "k3s" };
    let hint = format!(
        "no host was touched; check `k3s.version` and `sources.{key}` in cluster.toml: \
         `curl -iL {}` shows what is served there",
        error.url()
    );
    Explained::new(Kind::Other, hint)
}

pub(super) fn interrupted() -> Explained {
    Explained::new(Kind::Interrupted, String::from("the same command goes on from here"))
}

/// `191.101.1.3` of `191.101.1.3:22`, `2001:db8::1` of `[2001:db8::1]:22`.
fn name(address: &str) -> &str {
    let name = address.rsplit_once(':').map_or(address, |(name, _)| name);
    name.trim_start_matches('[').trim_end_matches(']')
}

/// `22` of `191.101.1.3:22`.
fn port(address: &str) -> &str {
    address.rsplit_once(':').map_or("22", |(_, port)| port)
}
