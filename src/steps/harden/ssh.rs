//! `ssh`: sshd takes keys and good algorithms only.

use std::net::IpAddr;

use anyhow::bail;

use super::{operators, remember_the_operator};
use crate::actions::{File, Guest, Reload, Require, SshdValues};
use crate::cluster::{Cluster, Host};
use crate::facts::Facts;
use crate::script::quote;
use crate::sshd::{DROP_IN, Forwarding, Settings};
use crate::step::Step;
use crate::steps::Inputs;

/// What `ssh` makes true on a host, in order.
pub fn ssh(inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    let Inputs { cluster, host, facts, .. } = *inputs;
    let mut step = Step::new("ssh");
    if has_none(facts) {
        step.note("there is no sshd, so there is none to harden");
        return Ok(step);
    }
    refuse_broken(facts)?;
    let settings = Settings::tight(
        &facts.sshd,
        &host.harden.sshd,
        // Failed logins of theirs do not count, for oceanid asks often.
        &operators(inputs),
        forwarding(cluster, host),
    )?;
    // A mistake below can lock us out: the host takes this step back unless we log in anew after it.
    step.guard(cluster.guard);
    // Over SSH we came in by a key. On the host itself we did not, and passwords are about to go.
    if host.local && !asks_a_command_for_keys(facts) {
        step.ensure(key_lets_in(user(host, facts), facts));
    }
    if host.local {
        step.note("oceanid runs on the host itself: a login from elsewhere is not tried");
    }
    step.ensure(drop_ins_count());
    remember_the_operator(&mut step, inputs);
    // sshd keeps the first value that it reads, and this file sorts first. All is tried before it lands.
    let drop_in = File::new(DROP_IN, settings.render()?).mode(0o600).check(READ_WITH_THE_REST);
    step.ensure(drop_in.clone());
    // Reloaded, and only where it runs: port, socket and open sessions stay as they are.
    step.ensure(Reload::with("ssh.service", &drop_in));
    // Other files of sshd may have the first word, or a `Match` block the last: they are named.
    let wanted = settings.all().map(|(keyword, value)| (keyword, value.to_owned())).collect();
    step.ensure(SshdValues::effective(&drop_in, wanted, guest(host, facts)));
    Ok(step)
}

/// A node that is reached at an address of the jump host itself keeps a tunnel open to it.
fn forwarding(cluster: &Cluster, host: &Host) -> Forwarding {
    let is_self = |address: &str| {
        let ip = address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        ip || address == "localhost"
    };
    let back = |node: &Host| node.ssh.jump.last() == Some(&host.name) && is_self(&node.address);
    if cluster.hosts.iter().any(back) { Forwarding::Tunnels } else { Forwarding::Jumps }
}

/// Takes the candidate before everything else, as the drop-in will be.
const READ_WITH_THE_REST: &str = r#"read_with_the_rest() {
  printf 'Include %s\nInclude /etc/ssh/sshd_config\n' "$1" | /usr/sbin/sshd -t -f /dev/stdin
}
read_with_the_rest"#;

/// On a local run sshd may be missing; over SSH something let us in.
fn has_none(facts: &Facts) -> bool {
    facts.login.from.is_none()
        && facts.sshd.broken.as_ref().is_some_and(|reason| reason.ends_with("not found"))
}

/// A sshd that cannot read its files runs on with what it read before, until somebody restarts it.
fn refuse_broken(facts: &Facts) -> anyhow::Result<()> {
    match &facts.sshd.broken {
        Some(reason) if reason.contains("Missing privilege separation directory") => bail!(
            "sshd has not run since the host was booted, so it cannot be asked for its settings\n\
             hint: start it with `systemctl start ssh` on the host"
        ),
        Some(reason) => bail!(
            "sshd cannot read its configuration: {reason}; a restart would lock everybody out\n\
             hint: stay logged in, mend it until `sshd -t` says nothing, then run this again"
        ),
        None => Ok(()),
    }
}

/// Who logs in there from outside.
fn user<'a>(host: &'a Host, facts: &'a Facts) -> &'a str {
    let there = Some(facts.login.user.as_str()).filter(|user| !user.is_empty());
    host.ssh.user.as_deref().or(there).unwrap_or("root")
}

/// We ourselves, as sshd sees us.
fn guest(host: &Host, facts: &Facts) -> Guest {
    let Some(from) = facts.login.from else {
        let (from, user) = (String::from("127.0.0.1"), user(host, facts).to_owned());
        return Guest { user, from, port: facts.sshd.ports().next().unwrap_or(22) };
    };
    let port = facts.login.port.or_else(|| facts.sshd.ports().next()).unwrap_or(22);
    Guest { user: facts.login.user.clone(), from: from.to_string(), port }
}

/// `Include` is in Debian's and Ubuntu's `sshd_config`, but people write their own.
fn drop_ins_count() -> Require {
    let test = format!(
        "set -f\nours={DROP_IN}\nwhile read -r word globs; do\ncase $word in\n\
         [Mm][Aa][Tt][Cc][Hh]) exit 1 ;;\n\
         [Ii][Nn][Cc][Ll][Uu][Dd][Ee])\nfor glob in $globs; do\n\
         case $glob in /*) ;; *) glob=/etc/ssh/$glob ;; esac\n\
         # shellcheck disable=SC2254 # it is a pattern\n\
         case $ours in $glob) exit 0 ;; esac\ndone ;;\n\
         esac\ndone </etc/ssh/sshd_config\nexit 1\n"
    );
    let otherwise = "it does not include /etc/ssh/sshd_config.d/*.conf, so a drop-in has no effect\n\
                     hint: make `Include /etc/ssh/sshd_config.d/*.conf` its first line";
    Require::that("/etc/ssh/sshd_config", test, otherwise)
}

/// Where keys come from a command, a file tells nothing.
fn asks_a_command_for_keys(facts: &Facts) -> bool {
    facts.sshd.value("authorizedkeyscommand").is_some_and(|command| command != "none")
}

/// Passwords never go off before there is a key.
fn key_lets_in(user: &str, facts: &Facts) -> Require {
    let files = facts.sshd.value("authorizedkeysfile").unwrap_or(".ssh/authorized_keys");
    let files: Vec<String> = files.split_whitespace().map(|file| at_home(file, user)).collect();
    let test = format!(
        "home=$(getent passwd {user})\nhome=${{home%:*}}\nhome=${{home##*:}}\n\
         set -- {files}\nfor file do\n\
         if [ -f \"$file\" ] && grep -qv '^[[:space:]]*\\(#\\|$\\)' -- \"$file\"; then exit 0; fi\n\
         done\nexit 1\n",
        user = quote(user),
        files = files.join(" "),
    );
    let otherwise = format!(
        "no key lets `{user}` in yet, and passwords are about to go off\n\
         hint: `ssh-copy-id {user}@HOST` from where you work, or `harden.ssh = false`"
    );
    Require::that(format!("a key of `{user}`"), test, otherwise)
}

/// A word of `AuthorizedKeysFile` for the shell, which knows `$home`.
fn at_home(file: &str, user: &str) -> String {
    let file = file.replace("%u", user);
    match file.strip_prefix("%h/") {
        Some(rest) => format!("\"$home\"/{}", quote(rest)),
        None if file.starts_with('/') => quote(&file),
        None => format!("\"$home\"/{}", quote(&file)),
    }
}
