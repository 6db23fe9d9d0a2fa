//! `~/.ssh/config`, as far as it says how a host is reached; the first value of a key wins.

mod parse;

use std::path::{Path, PathBuf};

use self::parse::Line;
use super::patterns;

/// The configuration files, read once for all hosts.
#[derive(Debug, Clone, Default)]
pub struct SshConfig {
    files: Vec<Vec<Line>>,
}

/// What is said of one host; nothing is expanded yet, save `%h` in `HostName`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `HostName`.
    pub host_name: Option<String>,
    /// `User`.
    pub user: Option<String>,
    /// `Port`.
    pub port: Option<u16>,
    /// `IdentityFile`, all of them.
    pub identity_files: Vec<String>,
    /// `IdentitiesOnly`.
    pub identities_only: Option<bool>,
    /// `IdentityAgent`.
    pub identity_agent: Option<String>,
    /// `CertificateFile`, all of them.
    pub certificate_files: Vec<String>,
    /// `ProxyJump`: a comma-separated list, or `none`.
    pub proxy_jump: Option<String>,
    /// `UserKnownHostsFile`.
    pub user_known_hosts: Vec<String>,
    /// `GlobalKnownHostsFile`.
    pub global_known_hosts: Vec<String>,
    /// `HostKeyAlias`.
    pub host_key_alias: Option<String>,
    /// `HashKnownHosts`.
    pub hash_known_hosts: Option<bool>,
}

/// Whom a configuration is read for.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The host as it was typed.
    pub host: &'a str,
    /// The user that was asked for, before any file is read.
    pub user: Option<&'a str>,
    /// The user that runs this program.
    pub local_user: &'a str,
}

/// What the tokens of a path stand for.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'a> {
    /// `%d` and `~`.
    pub home: &'a Path,
    /// `%h`.
    pub host_name: &'a str,
    /// `%n`.
    pub host: &'a str,
    /// `%k`.
    pub alias: &'a str,
    /// `%p`.
    pub port: u16,
    /// `%r`.
    pub user: &'a str,
    /// `%u`.
    pub local_user: &'a str,
}

impl SshConfig {
    /// Reads `file` and what it includes, relative to `folder`; appends to what was read before.
    ///
    /// # Errors
    /// With file and line, when a file cannot be read or has a line that cannot be.
    pub fn read(&mut self, file: &Path, folder: &Path, home: &Path) -> Result<(), String> {
        let lines = parse::file(file, folder, home, 0)?;
        self.files.push(lines);
        Ok(())
    }

    /// Everything that the files say of `subject`.
    #[must_use]
    pub fn settings(&self, subject: Subject<'_>) -> Settings {
        let mut settings = Settings::default();
        for lines in &self.files {
            apply(lines, subject, &mut settings, Scope::Matches);
        }
        if let Some(name) = &settings.host_name {
            settings.host_name = Some(expand_host(name, subject.host).to_lowercase());
        }
        settings
    }
}

/// Whether the lines that follow speak of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Matches,
    /// Another `Host` line may match.
    Skipped,
    /// Nothing in this file can: it is included where nothing matches.
    Never,
}

fn apply(lines: &[Line], subject: Subject<'_>, settings: &mut Settings, outer: Scope) {
    let mut scope = outer;
    let decide = |matched: bool| match (outer, matched) {
        (Scope::Never | Scope::Skipped, _) => Scope::Never,
        (Scope::Matches, true) => Scope::Matches,
        (Scope::Matches, false) => Scope::Skipped,
    };
    for line in lines {
        match line {
            Line::Host(patterns) => {
                scope = decide(host_matches(patterns, subject.host));
            }
            Line::Match(criteria) => {
                scope = decide(matches_all(criteria, subject, settings));
            }
            Line::Include(files) => {
                let inner = if scope == Scope::Matches { Scope::Matches } else { Scope::Never };
                for file in files {
                    apply(file, subject, settings, inner);
                }
            }
            Line::Set(key, values) if scope == Scope::Matches => settings.set(key, values),
            Line::Set(..) => {}
        }
    }
}

fn host_matches(list: &[String], host: &str) -> bool {
    let hit = |pattern: &str| patterns::matches(pattern, host);
    let negated = list.iter().filter_map(|pattern| pattern.strip_prefix('!')).any(hit);
    !negated && list.iter().any(|pattern| !pattern.starts_with('!') && hit(pattern))
}

/// Judges a `Match` line; one that holds a criterion that we cannot judge does not match.
fn matches_all(criteria: &[parse::Criterion], subject: Subject<'_>, settings: &Settings) -> bool {
    criteria.iter().all(|criterion| {
        let name = settings.host_name.as_ref().map(|name| expand_host(name, subject.host));
        let user = subject.user.or(settings.user.as_deref()).unwrap_or(subject.local_user);
        let value = match criterion.name.as_str() {
            "all" => return !criterion.negated,
            // Unlike those of a `Host` line, these names know no upper case.
            "host" => &name.as_deref().unwrap_or(subject.host).to_lowercase(),
            "originalhost" => &subject.host.to_lowercase(),
            "user" => user,
            "localuser" => subject.local_user,
            _ => return false,
        };
        let lower = criterion.name.ends_with("host");
        let list = criterion
            .argument
            .split(',')
            .map(|one| if lower { one.to_lowercase() } else { one.to_owned() });
        let list = list.collect::<Vec<_>>();
        host_matches(&list, value) != criterion.negated
    })
}

impl Settings {
    fn set(&mut self, key: &str, values: &[String]) {
        let first = values.first().cloned();
        match key {
            "hostname" => keep(&mut self.host_name, first),
            "user" => keep(&mut self.user, first),
            "port" => keep(&mut self.port, first.and_then(|port| port.parse().ok())),
            "identityfile" => add(&mut self.identity_files, first),
            "identitiesonly" => keep(&mut self.identities_only, first.as_deref().map(yes)),
            "identityagent" => keep(&mut self.identity_agent, first),
            "certificatefile" => add(&mut self.certificate_files, first),
            "proxyjump" => keep(&mut self.proxy_jump, first),
            // A proxy command that stands first keeps a later `ProxyJump` from being used.
            "proxycommand" => keep(&mut self.proxy_jump, Some("none".to_owned())),
            "userknownhostsfile" => keep_list(&mut self.user_known_hosts, values),
            "globalknownhostsfile" => keep_list(&mut self.global_known_hosts, values),
            "hostkeyalias" => keep(&mut self.host_key_alias, first),
            "hashknownhosts" => keep(&mut self.hash_known_hosts, first.as_deref().map(yes)),
            _ => {}
        }
    }
}

fn keep<T>(slot: &mut Option<T>, value: Option<T>) {
    if slot.is_none() {
        *slot = value;
    }
}

fn keep_list(slot: &mut Vec<String>, values: &[String]) {
    if slot.is_empty() {
        values.clone_into(slot);
    }
}

fn add(list: &mut Vec<String>, value: Option<String>) {
    if let Some(value) = value
        && !list.contains(&value)
    {
        list.push(value);
    }
}

fn yes(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "yes" | "true")
}

fn expand_host(name: &str, host: &str) -> String {
    percent(name, |token| (token == 'h').then(|| host.to_owned()))
}

impl Tokens<'_> {
    /// Expands `~`, `%` tokens and `${…}` in a path.
    #[must_use]
    pub fn path(&self, text: &str) -> PathBuf {
        let expanded = percent(&environment(text), |token| match token {
            'd' => Some(self.home.display().to_string()),
            'h' => Some(self.host_name.to_owned()),
            'n' => Some(self.host.to_owned()),
            'k' => Some(self.alias.to_owned()),
            'p' => Some(self.port.to_string()),
            'r' => Some(self.user.to_owned()),
            'u' => Some(self.local_user.to_owned()),
            _ => None,
        });
        super::auth::expand(Path::new(&expanded), self.home)
    }
}

fn percent(text: &str, value: impl Fn(char) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            expanded.push(character);
            continue;
        }
        match characters.next() {
            Some(token) if token != '%' => match value(token) {
                Some(text) => expanded.push_str(&text),
                None => expanded.extend(['%', token]),
            },
            Some(_) | None => expanded.push('%'),
        }
    }
    expanded
}

fn environment(text: &str) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, tail)) = after.split_once('}') else { break };
        expanded.push_str(before);
        expanded.push_str(&std::env::var(name).unwrap_or_default());
        rest = tail;
    }
    expanded.push_str(rest);
    expanded
}
