//! The command line: which flag belongs to which command, and which does not exist.

use std::collections::BTreeMap;
use std::env;

pub const HELP: &str = "NAME:\n   cloudflared - Cloudflare's command-line tool and agent\n\nUSAGE:\n   cloudflared [global options] [command] [command options]\n\nCOMMANDS:\n   tunnel   Use Cloudflare Tunnel to expose private services to the Internet\n   version  Print the version";

/// Flags of `cloudflared` and of `cloudflared tunnel` that take a value.
const TUNNEL: &[&str] = &[
    "config",
    "credentials-file",
    "cred-file",
    "edge",
    "edge-bind-address",
    "edge-ip-version",
    "features",
    "grace-period",
    "ha-connections",
    "label",
    "log-directory",
    "logfile",
    "loglevel",
    "max-edge-addr-retries",
    "metrics",
    "metrics-update-freq",
    "name",
    "origincert",
    "pidfile",
    "protocol",
    "region",
    "retries",
    "tag",
    "transport-loglevel",
    "autoupdate-freq",
    "url",
];

/// The same that take none.
const TUNNEL_SWITCHES: &[&str] =
    &["no-autoupdate", "no-prechecks", "post-quantum", "hello-world", "management-diagnostics"];

/// Flags of `cloudflared tunnel run`.
const RUN: &[&str] = &[
    "credentials-file",
    "cred-file",
    "credentials-contents",
    "features",
    "protocol",
    "token",
    "token-file",
];

/// The environment variables that set a flag which is not written.
const VARIABLES: &[(&str, &str)] = &[
    ("TUNNEL_EDGE", "edge"),
    ("TUNNEL_TOKEN", "token"),
    ("TUNNEL_TOKEN_FILE", "token-file"),
    ("TUNNEL_METRICS", "metrics"),
    ("TUNNEL_TRANSPORT_PROTOCOL", "protocol"),
    ("TUNNEL_EDGE_IP_VERSION", "edge-ip-version"),
    ("TUNNEL_CRED_FILE", "credentials-file"),
    ("TUNNEL_GRACE_PERIOD", "grace-period"),
    ("NO_AUTOUPDATE", "no-autoupdate"),
];

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// `--version`.
    Version,
    /// No command.
    Help,
    /// `tunnel ingress validate`.
    Validate,
    /// `tunnel ingress rule URL`.
    Rule(String),
    /// `tunnel run [NAME]`.
    Run(Option<String>),
}

/// A command line that makes sense.
#[derive(Debug)]
pub struct Invocation {
    /// What is to be done.
    pub command: Command,
    flags: BTreeMap<String, String>,
}

impl Invocation {
    /// Returns a flag's value: the command line goes before the environment.
    pub fn flag(&self, name: &str) -> Option<String> {
        let variable = || {
            let (variable, _) = VARIABLES.iter().find(|(_, flag)| *flag == name)?;
            env::var(variable).ok().filter(|value| !value.is_empty())
        };
        self.flags.get(name).cloned().or_else(variable)
    }

    /// Returns the flags that are written, but for what is secret.
    pub fn settings(&self) -> String {
        let shown = self.flags.iter().map(|(name, value)| {
            let secret = ["token", "credentials-contents"].contains(&name.as_str());
            format!("{name}:{}", if secret { "*****" } else { value })
        });
        format!("map[{}]", shown.collect::<Vec<_>>().join(" "))
    }
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// What cloudflared says of a flag that is not one of the command's.
pub fn parse(arguments: &[String]) -> Result<Invocation, String> {
    let mut flags = BTreeMap::new();
    let mut rest = arguments;
    if let [first, ..] = rest
        && ["--version", "-v", "-V", "version"].contains(&first.as_str())
    {
        return Ok(Invocation { command: Command::Version, flags });
    }
    take(&mut rest, TUNNEL, TUNNEL_SWITCHES, &mut flags)?;
    let command = match rest.split_first() {
        None => Command::Help,
        Some((word, after)) if word == "tunnel" => {
            rest = after;
            take(&mut rest, TUNNEL, TUNNEL_SWITCHES, &mut flags)?;
            tunnel(rest, &mut flags)?
        }
        Some((other, _)) => return Err(format!("No help topic for '{other}'")),
    };
    Ok(Invocation { command, flags })
}

fn tunnel(mut rest: &[String], flags: &mut BTreeMap<String, String>) -> Result<Command, String> {
    let words: Vec<&str> = rest.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["ingress", "validate"] => Ok(Command::Validate),
        ["ingress", "validate", other, ..] => Err(undefined(other)),
        ["ingress", "rule", url] => Ok(Command::Rule((*url).to_owned())),
        ["run", ..] => {
            rest = rest.get(1..).unwrap_or_default();
            take(&mut rest, RUN, &["post-quantum"], flags)?;
            match rest {
                [] => Ok(Command::Run(None)),
                [name] => Ok(Command::Run(Some(name.clone()))),
                _ => Err("\"cloudflared tunnel run\" accepts only one argument, the ID or name of the tunnel to run.".to_owned()),
            }
        }
        _ => Err("cloudflared tunnel needs a command here".to_owned()),
    }
}

fn undefined(argument: &str) -> String {
    let name = argument.trim_start_matches('-').split('=').next().unwrap_or_default();
    format!("flag provided but not defined: -{name}")
}

/// Takes flags off the front of `rest` until the first word that is none.
fn take(
    rest: &mut &[String],
    valued: &[&str],
    switches: &[&str],
    flags: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    while let Some((argument, after)) = rest.split_first() {
        if !argument.starts_with('-') {
            return Ok(());
        }
        let bare = argument.trim_start_matches('-');
        let (name, value) = match bare.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (bare, None),
        };
        *rest = after;
        let value = if switches.contains(&name) {
            value.unwrap_or_else(|| "true".to_owned())
        } else if valued.contains(&name) {
            match value.or_else(|| after.first().cloned()) {
                None => return Err(format!("flag needs an argument: -{name}")),
                Some(value) => {
                    if !bare.contains('=') {
                        *rest = after.get(1..).unwrap_or_default();
                    }
                    value
                }
            }
        } else {
            return Err(undefined(argument));
        };
        let name = if name == "cred-file" { "credentials-file" } else { name };
        flags.insert(name.to_owned(), value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Invocation, String> {
        parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn flags_stand_before_the_command_that_they_belong_to() {
        let run = read("tunnel --config F --metrics A run --token-file T").expect("it is right");
        assert_eq!(run.command, Command::Run(None));
        assert_eq!(run.flag("token-file").as_deref(), Some("T"));
        assert_eq!(run.flag("metrics").as_deref(), Some("A"));
        read("--no-autoupdate tunnel run --token-file=T").expect("as the service's own unit");
        for (line, why) in [
            ("tunnel run --metrics A", "flag provided but not defined: -metrics"),
            ("tunnel --token-file T run", "flag provided but not defined: -token-file"),
            ("tunnel --bogus run", "flag provided but not defined: -bogus"),
            ("tunnel --config", "flag needs an argument: -config"),
        ] {
            assert_eq!(read(line).err().as_deref(), Some(why), "{line}");
        }
    }
}
