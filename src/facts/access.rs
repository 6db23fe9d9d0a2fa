//! How the host is entered: by which login, and through which sshd.

use std::net::IpAddr;

use serde::Serialize;

/// How we came in, as the host sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Login {
    /// The user that logged in.
    pub user: String,
    /// The address that the connection came from: ours, a router's or a jump host's; none on the host itself.
    pub from: Option<IpAddr>,
    /// The port of sshd that it came to.
    pub port: Option<u16>,
    /// The address that it came from when the host was first hardened.
    pub recorded: Option<IpAddr>,
}

impl Login {
    /// The operator's address that rules are made for: it stays when the operator moves.
    #[must_use]
    pub fn operator(&self) -> Option<IpAddr> {
        self.recorded.or(self.from)
    }
}

/// What sshd's configuration on disk says, by `sshd -T`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sshd {
    /// Lower-case keywords with their values, in sshd's order.
    pub settings: Vec<(String, String)>,
    /// Why sshd cannot read it.
    pub broken: Option<String>,
    /// Kinds of host keys: `ed25519`, `rsa`, `ecdsa`.
    pub host_keys: Vec<String>,
    /// Every key exchange that it knows, by `ssh -Q`.
    pub kex: Vec<String>,
    /// Every cipher.
    pub ciphers: Vec<String>,
    /// Every MAC.
    pub macs: Vec<String>,
    /// Every algorithm for host keys.
    pub host_key_algorithms: Vec<String>,
}

impl Sshd {
    /// The first value of `keyword`; `None` when this sshd does not know it.
    #[must_use]
    pub fn value(&self, keyword: &str) -> Option<&str> {
        let mut settings = self.settings.iter();
        settings.find(|(key, _)| key == keyword).map(|(_, value)| value.as_str())
    }

    /// Every port that it listens on.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        let ports = self.settings.iter().filter(|(key, _)| key == "port");
        ports.filter_map(|(_, value)| value.parse().ok())
    }
}

/// The user, then what sshd put into `SSH_CONNECTION`: their address and port, ours and ours.
pub(super) fn login(said: &str, recorded: Option<IpAddr>) -> Login {
    let words: Vec<&str> = said.split_whitespace().collect();
    let (user, from, port) = match *words.as_slice() {
        [user, from, _, _, port] => (user, from.parse().ok(), port.parse().ok()),
        [user] => (user, None, None),
        _ => ("", None, None),
    };
    Login { user: user.to_owned(), from: from.map(|ip: IpAddr| ip.to_canonical()), port, recorded }
}
