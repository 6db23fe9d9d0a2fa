//! The small grammars inside values: names, labels, taints, versions, keys, paths.

use std::net::IpAddr;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::suggest::{closest, either};
use crate::cluster::Taint;

/// What is wrong with a value, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What the value is not: goes after `` `value` is ``.
    pub what: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Wrong {
    fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: Some(hint.into()) }
    }
}

/// A result of one of the grammars.
pub type Parsed<T> = Result<T, Wrong>;

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

const KEY_TYPES: [&str; 7] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// Whether `text` is one RFC 1123 label: lower case, at most 63 characters.
pub fn is_dns_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty()
        && text.len() <= 63
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether `text` is labels with dots between them: at most 253 characters.
pub fn is_dns_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

/// A Kubernetes node name.
pub fn node_name(text: &str) -> Parsed<()> {
    if is_dns_name(text) {
        return Ok(());
    }
    let lower = text.to_lowercase().replace(['_', ' '], "-");
    let rule = "lower-case letters, digits, `-` and `.`, a letter or digit at both ends";
    let hint = if is_dns_name(&lower) { format!("write `{lower}`") } else { rule.to_owned() };
    Err(Wrong::new("not a name that Kubernetes takes for a node", hint))
}

/// A name or address, without user and port.
pub fn host(text: &str) -> Parsed<()> {
    if let Ok(address) = text.parse::<IpAddr>() {
        let unfit = address.is_unspecified() || address.is_multicast();
        return if unfit {
            Err(Wrong { what: "not the address of one host".into(), hint: None })
        } else {
            Ok(())
        };
    }
    // Dots and digits only: a mistyped address, which DNS would accept as a name.
    let numeric = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    let name = text.to_lowercase();
    if !numeric && is_dns_name(name.strip_suffix('.').unwrap_or(&name)) {
        return Ok(());
    }
    let hint = if text.contains("://") {
        "leave out the scheme"
    } else if text.contains('@') {
        "leave out the user: that is the key `user`"
    } else if text.rsplit_once(':').is_some_and(|(host, _)| is_dns_name(host)) {
        "leave out the port"
    } else {
        "an example is `192.0.2.7`, another `node.example.com`"
    };
    Err(Wrong::new("neither an address nor a host name", hint))
}

/// An IP address.
pub fn ip(text: &str) -> Parsed<IpAddr> {
    let parsed =
        text.parse().map_err(|_| Wrong::new("not an IP address", "an example is `192.0.2.7`"));
    let unfit = |ip: &IpAddr| ip.is_unspecified() || ip.is_multicast() || ip.is_loopback();
    match parsed {
        Ok(ip) if unfit(&ip) => {
            Err(Wrong { what: "not an address that others reach".into(), hint: None })
        }
        other => other,
    }
}

/// `[user@]host[:port]`.
pub fn jump(text: &str) -> Parsed<()> {
    let wrong = || {
        Wrong::new(
            "neither the name of a node nor `user@host:port`",
            "an example is `root@bastion.example.com:22`",
        )
    };
    let rest = match text.rsplit_once('@') {
        Some((name, rest)) => {
            user(name).map_err(|_| wrong())?;
            rest
        }
        None => text,
    };
    let (name, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, port)) => (name, port.strip_prefix(':')),
        None if rest.parse::<IpAddr>().is_ok() => (rest, None),
        None => rest.split_once(':').map_or((rest, None), |(name, port)| (name, Some(port))),
    };
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if host(name).is_ok() && port_fits { Ok(()) } else { Err(wrong()) }
}

/// A user of a Unix system.
pub fn user(text: &str) -> Parsed<()> {
    let fits = |c: char| c.is_alphanumeric() || "-_.$+\\".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(fits) {
        return Ok(());
    }
    Err(Wrong { what: "not the name of a user".into(), hint: None })
}

/// A network interface.
pub fn interface(text: &str) -> Parsed<()> {
    let fits = |c: char| c.is_ascii_graphic() && c != '/' && c != ':';
    if (1..=15).contains(&text.len()) && text.chars().all(fits) && text != "." && text != ".." {
        return Ok(());
    }
    Err(Wrong::new("not the name of a network interface", "an example is `eth0`"))
}

/// A label or taint key: `[prefix/]name`.
pub fn qualified_name(text: &str) -> Parsed<()> {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    if prefix.is_none_or(is_dns_name) && !name.is_empty() && label_value(name).is_ok() {
        return Ok(());
    }
    Err(Wrong::new("not a key that Kubernetes takes", "an example is `example.com/zone`"))
}

/// The value of a label or taint.
pub fn label_value(text: &str) -> Parsed<()> {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let ends = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    let fits = text.len() <= 63
        && text.chars().all(inner)
        && ends(text.chars().next())
        && ends(text.chars().next_back());
    if fits {
        return Ok(());
    }
    let rule = "at most 63 letters, digits, `-`, `_` and `.`, a letter or digit at both ends";
    Err(Wrong::new("not a value that Kubernetes takes", rule))
}

/// Who sets a label that must not stand in cluster.toml, or `None`.
pub fn reserved(label: &str) -> Option<&'static str> {
    let (prefix, name) = label.split_once('/')?;
    let within = |domain: &str| prefix == domain || prefix.ends_with(&format!(".{domain}"));
    if prefix == "node-role.kubernetes.io" {
        return Some("k3s sets roles by itself, from `role`");
    }
    let free = ["node.kubernetes.io", "kubelet.kubernetes.io", "node-restriction.kubernetes.io"];
    let topology = prefix == "topology.kubernetes.io" && ["region", "zone"].contains(&name);
    if topology || free.iter().any(|domain| within(domain)) {
        return None;
    }
    let taken = within("kubernetes.io") || within("k8s.io");
    taken.then_some(
        "Kubernetes keeps `kubernetes.io` and `k8s.io` for itself: use a prefix of your own",
    )
}

/// `key=value:Effect` or `key:Effect`.
pub fn taint(text: &str) -> Parsed<Taint> {
    let form = "write `key=value:Effect` or `key:Effect`";
    let Some((what, effect)) = text.rsplit_once(':') else {
        return Err(Wrong::new("a taint without an effect", form));
    };
    if !EFFECTS.contains(&effect) {
        let hint = match EFFECTS
            .iter()
            .find(|known| known.eq_ignore_ascii_case(effect))
            .copied()
            .or_else(|| closest_effect(effect))
        {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("an effect is {}", either(EFFECTS)),
        };
        return Err(Wrong::new(format!("a taint with the unknown effect `{effect}`"), hint));
    }
    let (key, value) = what.split_once('=').unwrap_or((what, ""));
    if qualified_name(key).and_then(|()| label_value(value)).is_err() {
        return Err(Wrong::new("not a taint that Kubernetes takes", form));
    }
    Ok(Taint { key: key.to_owned(), value: value.to_owned(), effect: effect.to_owned() })
}

fn closest_effect(typed: &str) -> Option<&'static str> {
    let lower = EFFECTS.map(str::to_lowercase);
    let found = closest(typed, lower.iter().map(String::as_str))?;
    EFFECTS.into_iter().find(|effect| effect.eq_ignore_ascii_case(found))
}

/// The channels that are not named after a minor version.
const CHANNELS: [&str; 3] = ["stable", "latest", "testing"];

/// An exact k3s version, `v1.36.3+k3s1`, `v1.36.3-rc1+k3s1`, or a channel: `stable`, `v1.36`.
pub fn version(text: &str) -> Parsed<()> {
    if is_version(text) || is_channel(text) {
        return Ok(());
    }
    let bare = text.trim_start_matches(['v', 'V']).replace("-k3s", "+k3s");
    let guesses = [format!("v{bare}"), format!("v{bare}+k3s1")];
    let meant =
        guesses.iter().map(String::as_str).find(|guess| is_version(guess) || is_channel(guess));
    let hint = match meant.or_else(|| closest(text, CHANNELS)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => {
            "an example is `v1.36.3+k3s1`; channels are `stable`, `latest` and `v1.36`".to_owned()
        }
    };
    Err(Wrong::new("neither a version of k3s nor a channel", hint))
}

/// `stable`, or the newest of a minor version: `v1.36`.
fn is_channel(text: &str) -> bool {
    let number = |text: &str| {
        !text.is_empty() && text.len() <= 4 && text.chars().all(|c| c.is_ascii_digit())
    };
    let minor = text.strip_prefix('v').and_then(|rest| rest.split_once('.'));
    CHANNELS.contains(&text) || minor.is_some_and(|(major, minor)| number(major) && number(minor))
}

/// A version of cloudflared: year, month, number.
pub fn cloudflared(text: &str) -> Parsed<()> {
    let parts: Vec<&str> = text.split('.').collect();
    let number = |part: &&str| {
        !part.is_empty() && part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if parts.len() == 3 && parts.iter().all(number) {
        return Ok(());
    }
    Err(Wrong::new("not a version of cloudflared", "an example is `2026.8.2`"))
}

/// Whether `text` is an exact version of k3s, as its releases are called.
#[must_use]
pub fn is_version(text: &str) -> bool {
    let number = |text: &str| {
        !text.is_empty() && text.len() <= 4 && text.chars().all(|c| c.is_ascii_digit())
    };
    let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
    let release = |text: &str| {
        let (digits, rest) = text.split_once('-').map_or((text, None), |(a, b)| (a, Some(b)));
        number(digits) && rest.is_none_or(|rest| rest.split(['-', '.']).all(word))
    };
    let Some((upstream, k3s)) = text.strip_prefix('v').and_then(|rest| rest.split_once("+k3s"))
    else {
        return false;
    };
    let (numbers, candidate) =
        upstream.split_once('-').map_or((upstream, None), |(a, b)| (a, Some(b)));
    numbers.split('.').count() == 3
        && numbers.split('.').all(number)
        && candidate.is_none_or(|candidate| candidate.split('.').all(word))
        && release(k3s)
}

/// A host key as in `known_hosts`, or a SHA256 fingerprint.
pub fn host_key(text: &str) -> Parsed<()> {
    let wrong = |hint: &str| Err(Wrong::new("not a host key", hint));
    if let Some(hash) = text.strip_prefix("SHA256:") {
        let sized = STANDARD_NO_PAD.decode(hash).is_ok_and(|bytes| bytes.len() == 32);
        return if sized { Ok(()) } else { wrong("`SHA256:` is followed by 43 characters") };
    }
    let mut words = text.split_whitespace();
    let (Some(kind), Some(body)) = (words.next(), words.next()) else {
        return wrong(
            "write `ssh-ed25519 AAAA…` or `SHA256:…`, as `ssh-keyscan` and `ssh-keygen -l` print it",
        );
    };
    if !KEY_TYPES.contains(&kind) {
        return wrong(
            "the type of a key is `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa` or the like; leave out the host name",
        );
    }
    let Ok(bytes) = STANDARD.decode(body) else {
        return wrong("what follows the type is not base64: is it cut off?");
    };
    // The body begins with its own type, after four bytes of length.
    let named = bytes.get(4..4 + kind.len()) == Some(kind.as_bytes());
    if named && bytes.len() > 4 + kind.len() + 4 {
        Ok(())
    } else {
        wrong("the key is of another type, or cut off")
    }
}

/// An absolute path, or one below the home folder.
pub fn local_path(text: &str) -> Parsed<PathBuf> {
    match text.strip_prefix("~/") {
        Some(rest) => match std::env::home_dir() {
            Some(home) => Ok(home.join(rest)),
            None => Err(Wrong::new("below a home folder that is not known", "set HOME")),
        },
        None if text.starts_with('/') => Ok(text.into()),
        None => Err(Wrong::new(
            "a relative path",
            "write an absolute path, or one that begins with `~/`",
        )),
    }
}
