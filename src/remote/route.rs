//! The way to a host: every hop with its address, user, keys and the key that it must show.

use std::path::PathBuf;

use super::RemoteError;
use super::auth::{self, Identities};
use super::connector::Shared;
use super::host_key::{Kinds, Pin, Policy, Purpose};
use super::known_hosts::{self, Names};
use super::ssh_config::{Settings, Subject, Tokens};
use crate::cluster::Host;

/// How many hops may lead to a host.
const MOST_HOPS: usize = 8;

/// One hop, ready to be connected to.
#[derive(Debug, Clone)]
pub struct Hop {
    /// Name or address to connect to.
    pub host: String,
    /// The port of sshd.
    pub port: u16,
    /// The user to log in as.
    pub user: String,
    /// What to log in with.
    pub identities: Identities,
    /// The name under which the host stands in `known_hosts`, and its port there.
    pub known_as: (String, u16),
    /// The files to look in; a new key goes to the first.
    pub known_hosts: Vec<PathBuf>,
    /// How names are written there.
    pub names: Names,
    /// The key in cluster.toml.
    pub pin: Option<Pin>,
}

/// What cluster.toml, or a jump's `user@host:port`, says before ~/.ssh/config.
#[derive(Debug, Default)]
struct Wish<'a> {
    host: &'a str,
    user: Option<&'a str>,
    port: Option<u16>,
    keys: &'a [PathBuf],
    host_key: Option<&'a str>,
}

impl Hop {
    /// Host and port, as in messages.
    #[must_use]
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            return format!("[{}]:{}", self.host, self.port);
        }
        format!("{}:{}", self.host, self.port)
    }

    /// Reads `known_hosts` anew: another host's key may have been added meanwhile.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn policy(&self, purpose: Purpose) -> Result<Policy, RemoteError> {
        let (name, port) = &self.known_as;
        let known = known_hosts::lookup(&self.known_hosts, name, *port)
            .map_err(|error| RemoteError::Local(format!("cannot read known_hosts: {error}")))?;
        let (address, name, pin) = (self.address(), name.clone(), self.pin.clone());
        Ok(Policy { address, name, pin, known, purpose, kinds: Kinds::All })
    }
}

impl Shared {
    /// Every hop to `host`, the host itself last.
    ///
    /// # Errors
    /// When a jump leads in circles or cannot be read, or when the pinned key cannot.
    pub(super) fn route(&self, host: &Host) -> Result<Vec<Hop>, RemoteError> {
        let mut hops = Vec::new();
        self.extend(host, &mut hops, 0)?;
        Ok(hops)
    }

    fn extend(&self, host: &Host, hops: &mut Vec<Hop>, depth: usize) -> Result<(), RemoteError> {
        Self::check_depth(depth, &host.name)?;
        let wish = Wish {
            host: &host.address,
            user: host.ssh.user.as_deref(),
            port: host.ssh.port,
            keys: &host.ssh.keys,
            host_key: host.ssh.host_key.as_deref(),
        };
        let (hop, settings) = self.hop(&wish)?;
        // A host that is reached from another hop is not reached by its own jumps.
        if hops.is_empty() && host.ssh.jump.is_empty() {
            self.extend_by_config(&settings, hops, depth)?;
        } else if hops.is_empty() {
            for jump in &host.ssh.jump {
                match self.hosts.iter().find(|other| other.name == *jump) {
                    Some(other) => self.extend(other, hops, depth + 1)?,
                    None => self.extend_by_text(jump, hops, depth + 1)?,
                }
            }
        }
        hops.push(hop);
        Ok(())
    }

    fn extend_by_config(
        &self,
        settings: &Settings,
        hops: &mut Vec<Hop>,
        depth: usize,
    ) -> Result<(), RemoteError> {
        let Some(list) =
            settings.proxy_jump.as_deref().filter(|list| !list.eq_ignore_ascii_case("none"))
        else {
            return Ok(());
        };
        list.split(',').try_for_each(|jump| self.extend_by_text(jump, hops, depth + 1))
    }

    fn extend_by_text(
        &self,
        jump: &str,
        hops: &mut Vec<Hop>,
        depth: usize,
    ) -> Result<(), RemoteError> {
        Self::check_depth(depth, jump)?;
        let (hop, settings) = self.hop(&parse_jump(jump)?)?;
        if hops.is_empty() {
            self.extend_by_config(&settings, hops, depth)?;
        }
        hops.push(hop);
        Ok(())
    }

    fn check_depth(depth: usize, name: &str) -> Result<(), RemoteError> {
        if depth < MOST_HOPS {
            return Ok(());
        }
        Err(RemoteError::Local(format!(
            "the jumps to `{name}` are more than {MOST_HOPS}, or lead in circles"
        )))
    }

    fn hop(&self, wish: &Wish<'_>) -> Result<(Hop, Settings), RemoteError> {
        let environment = &self.environment;
        let subject = Subject { host: wish.host, user: wish.user, local_user: &environment.user };
        let settings = self.config.settings(subject);
        let host = settings.host_name.clone().unwrap_or_else(|| wish.host.to_owned());
        let port = wish.port.or(settings.port).unwrap_or(22);
        let user = wish.user.or(settings.user.as_deref()).unwrap_or(&environment.user).to_owned();
        let alias = settings.host_key_alias.clone();
        let known_as = alias.map_or_else(|| (host.clone(), port), |alias| (alias, 22));
        let tokens = Tokens {
            home: &environment.home,
            host_name: &host,
            host: wish.host,
            alias: &known_as.0,
            port,
            user: &user,
            local_user: &environment.user,
        };
        let hop = Hop {
            identities: self.identities(wish, &settings, &tokens),
            known_hosts: Self::known_hosts(&settings, &tokens),
            names: if settings.hash_known_hosts == Some(true) {
                Names::Hashed
            } else {
                Names::Plain
            },
            pin: wish.host_key.map(Pin::parse).transpose()?,
            host: host.clone(),
            port,
            user: user.clone(),
            known_as: known_as.clone(),
        };
        Ok((hop, settings))
    }

    fn identities(&self, wish: &Wish<'_>, settings: &Settings, tokens: &Tokens<'_>) -> Identities {
        let paths = |list: &[String]| list.iter().map(|path| tokens.path(path)).collect::<Vec<_>>();
        let mut optional = paths(&settings.identity_files);
        if optional.is_empty() {
            let usual = ["id_ed25519", "id_ecdsa", "id_rsa"];
            optional =
                usual.iter().map(|name| self.environment.home.join(".ssh").join(name)).collect();
        }
        let agent = match settings.identity_agent.as_deref() {
            None | Some("SSH_AUTH_SOCK") => self.environment.agent.clone(),
            Some("none") => None,
            Some(variable) if variable.starts_with('$') => {
                std::env::var_os(variable.trim_start_matches('$')).map(PathBuf::from)
            }
            Some(path) => Some(tokens.path(path)),
        };
        Identities {
            required: wish
                .keys
                .iter()
                .map(|path| auth::expand(path, &self.environment.home))
                .collect(),
            optional,
            certificates: paths(&settings.certificate_files),
            agent,
            only_named: settings.identities_only == Some(true),
        }
    }

    fn known_hosts(settings: &Settings, tokens: &Tokens<'_>) -> Vec<PathBuf> {
        let or = |list: &[String], usual: [&str; 2]| -> Vec<String> {
            if list.is_empty() { usual.map(str::to_owned).to_vec() } else { list.to_vec() }
        };
        let user = or(&settings.user_known_hosts, ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"]);
        let global = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];
        let global = or(&settings.global_known_hosts, global);
        let files = user.iter().chain(&global).filter(|path| *path != "none");
        files.map(|path| tokens.path(path)).collect()
    }
}

/// Reads `[user@]host[:port]` or `ssh://[user@]host[:port]`.
fn parse_jump(text: &str) -> Result<Wish<'_>, RemoteError> {
    let wrong = || RemoteError::Local(format!("`{text}` is not a jump: write `user@host:port`"));
    let text_without = text.trim().strip_prefix("ssh://").unwrap_or(text.trim());
    let (user, place) = match text_without.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, text_without),
    };
    let (host, port) = if let Some(rest) = place.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
        (host, rest.strip_prefix(':'))
    } else if place.matches(':').count() == 1 {
        place.split_once(':').map(|(host, port)| (host, Some(port))).ok_or_else(wrong)?
    } else {
        (place, None)
    };
    if host.is_empty() {
        return Err(wrong());
    }
    let port = port.map(str::parse).transpose().map_err(|_| wrong())?;
    Ok(Wish { host, user, port, ..Wish::default() })
}
