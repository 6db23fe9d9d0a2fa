//! `cloudflared`: the tunnel that ends on a node: program, unit, edge connected, and what looks after it.

use std::time::Duration;

use anyhow::Context as _;

use super::Inputs;
use crate::actions::{Fetch, File, OnlyConnector, Unit, Wait};
use crate::cluster::{Cloudflared, Managed, Tunnel};
use crate::script::quote;
use crate::secret::Credentials;
use crate::step::Step;
use crate::templates::cloudflared::{
    Config, Service, Watchdog, WatchdogService, WatchdogTimer, quoted,
};
use crate::templates::render;

#[cfg(test)]
mod tests;

const PROGRAM: &str = "/usr/local/lib/oceanid/cloudflared";
const CONFIG: &str = "/etc/oceanid/cloudflared/config.yml";
/// What opens the tunnel; the unit hands a copy to cloudflared alone.
const CREDENTIALS: &str = "/etc/oceanid/cloudflared/credentials";
const UNIT: &str = "cloudflared.service";
const SERVICE: &str = "/etc/systemd/system/cloudflared.service";
const WATCHDOG: &str = "/usr/local/lib/oceanid/cloudflared-watchdog";
const WATCHDOG_UNITS: &str = "/etc/systemd/system/cloudflared-watchdog";

/// How many starts in vain systemd makes before it leaves the next ones to the watchdog.
const STARTS: u64 = 5;
/// How often the edge may refuse: a new tunnel is not known everywhere at once.
const REFUSALS: u32 = 6;

/// What `cloudflared` makes true, in order.
pub fn cloudflared(inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    let tunnel = inputs.cluster.tunnel(&inputs.host.name).context("it has no tunnel")?;
    let settings = &inputs.cluster.cloudflared;
    let credentials = tunnel.credentials()?;
    let mut step = Step::new("cloudflared");
    step.ensure(OnlyConnector::or(tunnel.foreign));
    let program = program(inputs)?;
    step.ensure(program.clone());
    let secret = secret(tunnel, credentials.as_ref());
    step.ensure(secret.clone());
    let config = config(tunnel, credentials.as_ref())?;
    step.ensure(config.clone());
    let service = File::new(SERVICE, render(&service(tunnel, settings))?).replaces_secrets();
    step.ensure(service.clone());
    let limit = settings.edge + Duration::from_secs(10);
    step.ensure(
        Unit::running(UNIT)
            .restarts_with(&secret)
            .restarts_with(&config)
            .restarts_with(&service)
            .restarts_with_program(&program)
            .hopeless_at("Unauthorized: ", REFUSALS)
            .within(limit),
    );
    step.ensure(
        Wait::until("the edge", is_connected(settings.metrics_port), settings.edge)
            .diagnosis(format!("journalctl -q -u {UNIT} -n 8 --no-pager -o cat\n")),
    );
    if tunnel.managed == Managed::Local {
        step.ensure(own_rules(settings.metrics_port));
    }
    watchdog(&mut step, settings)?;
    step.put_back_unless_up(format!(
        "[ -e {SERVICE} ] || exit 0\n\
         state=$(systemctl show -p ActiveState --value -- {UNIT})\n\
         if [ \"$state\" != active ]; then printf '%s is %s\\n' {UNIT} \"$state\"; exit 1; fi\n\
         if grep -q '^# Laid down by oceanid' -- {SERVICE}; then\n{}fi\n",
        is_connected(settings.metrics_port)
    ));
    Ok(step)
}

/// cloudflared of the locked version, where nobody else's updates get to it.
fn program(inputs: &Inputs<'_>) -> anyhow::Result<Fetch> {
    let sources = &inputs.cluster.sources;
    let wanted = inputs.releases.cloudflared(sources, inputs.facts.arch()?)?;
    let version = format!("cloudflared {}", inputs.cluster.cloudflared.version);
    Ok(Fetch::new(PROGRAM, wanted.url, wanted.sha256, version)
        .through(sources)
        .delivery(inputs.cluster.k3s.delivery))
}

/// What opens the tunnel, in the form that cloudflared takes for who manages it.
fn secret(tunnel: &Tunnel, credentials: Option<&Credentials>) -> File {
    let Some(credentials) = credentials else { return File::later(CREDENTIALS) };
    let text = match tunnel.managed {
        Managed::Local => credentials.file(),
        Managed::Remote => credentials.token(),
    };
    File::secret(CREDENTIALS, text)
}

/// Its configuration: cloudflared itself says whether the rules are right before they take the old ones' place.
fn config(tunnel: &Tunnel, credentials: Option<&Credentials>) -> anyhow::Result<File> {
    if tunnel.managed == Managed::Remote {
        let none = Config { id: None, rules: Vec::new() };
        return Ok(File::new(CONFIG, render(&none)?));
    }
    let id = credentials.map(Credentials::id).or(tunnel.id.as_deref());
    let Some(id) = id else { return Ok(File::later(CONFIG).mode(0o644)) };
    let rules = tunnel.rules.iter().map(Into::into).collect();
    let text = render(&Config { id: Some(quoted(id)), rules })?;
    let check = format!(
        "said=$({PROGRAM} tunnel --config \"$1\" ingress validate 2>&1) || {{ printf '%s\\n' \"$said\" >&2; exit 1; }}\n\
         case $said in *'unused keys'*) printf '%s\\n' \"$said\" >&2; exit 1 ;; esac\n"
    );
    Ok(File::new(CONFIG, text).check(format!("/bin/sh -c {} sh", quote(&check))))
}

fn service<'a>(tunnel: &Tunnel, settings: &Cloudflared) -> Service<'a> {
    let (credential, arguments) = match tunnel.managed {
        Managed::Local => ("credentials.json", ""),
        Managed::Remote => ("token", " --token-file /run/credentials/cloudflared.service/token"),
    };
    let start = settings.edge.as_secs();
    Service {
        // A unit file has a meaning of its own for it.
        name: tunnel.name.replace('%', "%%"),
        program: PROGRAM,
        port: settings.metrics_port,
        protocol: settings.protocol.name(),
        edge_ip: settings.edge_ip.name(),
        arguments,
        credential,
        start,
        burst: STARTS,
        // Long enough that so many starts in vain fall into it.
        interval: (start + 60) * (STARTS + 1),
    }
}

/// Succeeds where at least one connection to the edge is ready; otherwise prints why it is not.
fn is_connected(port: u16) -> String {
    format!(
        "said=$(curl -sS --max-time 5 http://127.0.0.1:{port}/ready 2>&1) || {{ printf '%s\\n' \"$said\"; exit 1; }}\n\
         case $said in *'\"readyConnections\":'[1-9]*) ;; *) printf 'no connection is ready: %s\\n' \"$said\"; exit 1 ;; esac\n"
    )
}

/// Where Cloudflare has rules for the tunnel, it hands them out, and those of the file count no more.
fn own_rules(port: u16) -> Wait {
    let test = format!(
        "said=$(curl -sS --max-time 5 http://127.0.0.1:{port}/config 2>/dev/null) || exit 0\n\
         case $said in *'\"version\":-1'*) ;; *'\"version\":'*)\n\
         echo 'Cloudflare tells cloudflared which service answers, and the rules on the node do not count'; exit 1 ;; esac\n"
    );
    let why = "echo 'the tunnel was made in the dashboard, or for it'\n\
               echo '`managed = \"remote\"` in its `[[tunnel]]` leaves the rules to Cloudflare; otherwise make a tunnel of its own'\n";
    Wait::until("rules of the node in force", test, Duration::from_secs(5)).diagnosis(why)
}

/// What starts it again where it is down and nobody gets to the node.
fn watchdog(step: &mut Step, settings: &Cloudflared) -> anyhow::Result<()> {
    let (port, patience) = (settings.metrics_port, settings.watchdog.as_secs());
    step.ensure(File::new(WATCHDOG, render(&Watchdog)?).mode(0o755));
    let service = render(&WatchdogService { script: WATCHDOG, port, patience })?;
    step.ensure(File::new(format!("{WATCHDOG_UNITS}.service"), service));
    let timer = File::new(format!("{WATCHDOG_UNITS}.timer"), render(&WatchdogTimer)?);
    step.ensure(timer.clone());
    step.ensure(Unit::running("cloudflared-watchdog.timer").restarts_with(&timer));
    Ok(())
}
