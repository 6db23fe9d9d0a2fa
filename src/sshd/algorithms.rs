//! Which algorithms sshd may use: good ones, that it knows, and that leave nobody out whom we need.

use anyhow::bail;
use russh::Preferred;

use crate::facts::Sshd;

/// Key exchanges that a quantum computer does not undo, best first.
const POST_QUANTUM: &[&str] =
    &["mlkem768x25519-sha256", "sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com"];

/// The others without a known fault. No `group-exchange`: the host's own moduli may be small ones.
const CLASSIC: &[&str] = &[
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
];

/// As ssh-audit's guides have them.
const CIPHERS: &[&str] = &[
    "chacha20-poly1305@openssh.com",
    "aes256-gcm@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-gcm@openssh.com",
    "aes128-ctr",
];

/// Those that authenticate what is encrypted, not what was.
const MACS: &[&str] =
    &["hmac-sha2-512-etm@openssh.com", "hmac-sha2-256-etm@openssh.com", "umac-128-etm@openssh.com"];

/// What a host shows itself by.
const HOST_KEYS: &[&str] = &[
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "ssh-ed25519-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "sk-ssh-ed25519@openssh.com",
    "ssh-ed25519",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// For hosts that have no other key: host keys are never made anew, others have them noted.
const ECDSA: &[&str] = &[
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
];

/// Lists as `sshd_config` takes them: separated by commas, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Algorithms {
    /// `KexAlgorithms`.
    pub kex: String,
    /// `Ciphers`.
    pub ciphers: String,
    /// `MACs`.
    pub macs: String,
    /// `HostKeyAlgorithms`.
    pub host_keys: String,
}

impl Algorithms {
    /// The good ones that `sshd` knows; of each kind oceanid itself speaks at least one.
    ///
    /// # Errors
    /// When there is none of a kind that both speak: the next login would be the last.
    pub fn shared(sshd: &Sshd) -> anyhow::Result<Self> {
        let ours = Preferred::DEFAULT;
        let (kex, ciphers, macs) = (names(&ours.kex), names(&ours.cipher), names(&ours.mac));
        let keys: Vec<String> = ours.key.iter().map(ToString::to_string).collect();
        Ok(Self {
            kex: choose("key exchange", &key_exchanges(sshd, &kex), &sshd.kex, &kex)?,
            ciphers: choose("cipher", CIPHERS, &sshd.ciphers, &ciphers)?,
            macs: choose("MAC", MACS, &sshd.macs, &macs)?,
            host_keys: choose(
                "host key algorithm",
                &host_keys(sshd),
                &sshd.host_key_algorithms,
                &keys,
            )?,
        })
    }
}

/// Where oceanid can do with those that last, the others go.
fn key_exchanges(sshd: &Sshd, ours: &[String]) -> Vec<&'static str> {
    let lasting = POST_QUANTUM.iter().any(|name| has(&sshd.kex, name) && has(ours, name));
    let classic = if lasting { &[] } else { CLASSIC };
    [POST_QUANTUM, classic].concat()
}

/// A host that has nothing else must go on showing its ecdsa key.
fn host_keys(sshd: &Sshd) -> Vec<&'static str> {
    let better = ["ed25519", "rsa"].iter().any(|kind| has(&sshd.host_keys, kind));
    let ecdsa = if better { &[] } else { ECDSA };
    [HOST_KEYS, ecdsa].concat()
}

/// What of `good` the host knows, as one list.
fn choose(kind: &str, good: &[&str], known: &[String], ours: &[String]) -> anyhow::Result<String> {
    let chosen: Vec<&str> = good.iter().copied().filter(|name| has(known, name)).collect();
    if chosen.iter().any(|name| has(ours, name)) {
        return Ok(chosen.join(","));
    }
    bail!(
        "sshd there and oceanid have no good {kind} in common, so nobody could log in again; sshd knows {}\n\
         hint: upgrade openssh-server there, or leave its sshd alone with `harden.ssh = false`",
        if known.is_empty() { String::from("none") } else { known.join(", ") }
    )
}

fn names(list: &[impl AsRef<str>]) -> Vec<String> {
    list.iter().map(|name| name.as_ref().to_owned()).collect()
}

fn has(list: &[String], name: &str) -> bool {
    list.iter().any(|known| known == name)
}
