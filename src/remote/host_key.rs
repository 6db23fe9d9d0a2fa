//! Who a host says it is: every key is judged before anything but the key exchange is sent.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{DisconnectReason, Handler};
use russh::keys::ssh_key::Fingerprint;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::known_hosts::Marker;
use russh::keys::{Algorithm, Certificate, EcdsaCurve, HashAlg, PublicKey, PublicKeyOrCertificate};

use super::RemoteError;
use super::known_hosts::{self, Known, Verdict};
use super::patterns;

/// The key that cluster.toml says a host must show.
#[derive(Debug, Clone)]
pub enum Pin {
    /// The whole key.
    Key(PublicKey),
    /// Its SHA256 fingerprint.
    Fingerprint(Fingerprint),
}

/// By what a host's key is judged.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Host and port, for messages.
    pub address: String,
    /// The name that a host certificate must be made out to.
    pub name: String,
    /// The key in cluster.toml; nothing else counts then.
    pub pin: Option<Pin>,
    /// What `known_hosts` says.
    pub known: Vec<Known>,
    /// Whether the key is judged at all.
    pub purpose: Purpose,
    /// Which kinds of key are asked for.
    pub kinds: Kinds,
}

/// Kinds of host keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    /// Every one that we take.
    All,
    /// `ssh-ed25519`.
    Ed25519,
    /// `ecdsa-sha2-*`.
    Ecdsa,
    /// `rsa-sha2-*`.
    Rsa,
}

impl Kinds {
    fn include(self, algorithm: &Algorithm) -> bool {
        match self {
            Self::All => true,
            Self::Ed25519 => *algorithm == Algorithm::Ed25519,
            Self::Ecdsa => matches!(algorithm, Algorithm::Ecdsa { .. }),
            Self::Rsa => matches!(algorithm, Algorithm::Rsa { .. }),
        }
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To log in: the key must be the known one.
    Login,
    /// To see the key and leave.
    ShowKey,
}

/// Why a connection ended before it was one.
#[derive(Debug)]
pub enum Failure {
    /// The key is not acceptable.
    Refused(RemoteError),
    /// No key is known.
    Unknown(Box<PublicKey>),
    /// The key that was to be shown.
    Shown(Box<PublicKey>),
    /// The transport failed.
    Transport(russh::Error),
}

/// What russh asks and tells while a connection lives.
pub struct Client {
    policy: Policy,
    end: EndReason,
}

/// Why the transport ended, once it has.
#[derive(Debug, Clone, Default)]
pub struct EndReason(Arc<Mutex<Option<String>>>);

impl EndReason {
    /// What the transport said; a plain sentence when it said nothing.
    #[must_use]
    pub fn text(&self) -> String {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.clone().unwrap_or_else(|| "the host closed it".to_owned())
    }

    fn set(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }
}

impl From<russh::Error> for Failure {
    fn from(error: russh::Error) -> Self {
        Self::Transport(error)
    }
}

impl Pin {
    /// Reads `ssh-ed25519 AAAA…` or `SHA256:…`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, RemoteError> {
        let text = text.trim();
        let wrong = |error: &dyn std::fmt::Display| {
            RemoteError::Local(format!("`{text}` is neither a public key nor `SHA256:…`: {error}"))
        };
        if text.starts_with("SHA256:") {
            return text.parse().map(Self::Fingerprint).map_err(|error| wrong(&error));
        }
        PublicKey::from_openssh(text).map(Self::Key).map_err(|error| wrong(&error))
    }

    fn accepts(&self, key: &PublicKey) -> bool {
        match self {
            Self::Key(wanted) => wanted.key_data() == key.key_data(),
            Self::Fingerprint(wanted) => key.fingerprint(HashAlg::Sha256) == *wanted,
        }
    }
}

impl Policy {
    /// The kinds of key to ask for, the known ones first, as OpenSSH does.
    #[must_use]
    pub fn algorithms(&self) -> Vec<Algorithm> {
        let mut list = usual();
        list.retain(|one| self.kinds.include(one));
        let known: Vec<&PublicKey> = match &self.pin {
            Some(Pin::Key(key)) => vec![key],
            Some(Pin::Fingerprint(_)) => Vec::new(),
            None => {
                self.known.iter().filter(|one| one.marker.is_none()).map(|one| &one.key).collect()
            }
        };
        let is_known = |one: &Algorithm| known.iter().any(|key| same_kind(&key.algorithm(), one));
        list.sort_by_key(|one| !is_known(one));
        list
    }

    /// This policy, once for each kind of key that may be the pinned one. A fingerprint does not
    /// say of what kind its key is, and a host shows one key for each connection.
    #[must_use]
    pub fn rounds(self) -> Vec<Self> {
        if !matches!(self.pin, Some(Pin::Fingerprint(_))) || self.purpose == Purpose::ShowKey {
            return vec![self];
        }
        let kinds = [Kinds::Ed25519, Kinds::Ecdsa, Kinds::Rsa];
        kinds.into_iter().map(|kinds| Self { kinds, ..self.clone() }).collect()
    }

    /// The kinds of certificate to ask for: none, unless an authority is known for the host.
    #[must_use]
    pub fn certificates(&self) -> Cow<'static, [Algorithm]> {
        let authority = self.known.iter().any(|one| one.marker == Some(Marker::CertAuthority));
        if self.pin.is_none() && authority { Cow::Owned(usual()) } else { Cow::Borrowed(&[]) }
    }

    fn judge(&self, shown: &PublicKeyOrCertificate) -> Result<(), Failure> {
        let key = shown.public_key();
        if self.purpose == Purpose::ShowKey {
            return Err(Failure::Shown(Box::new(key)));
        }
        if let Some(pin) = &self.pin {
            return if pin.accepts(&key) {
                Ok(())
            } else {
                Err(self.changed(&key, "cluster.toml".to_owned()))
            };
        }
        let vouched = shown.certificate().is_some_and(|certificate| self.vouched(certificate));
        match known_hosts::judge(&self.known, &key) {
            Verdict::Revoked(place) => Err(Failure::Refused(RemoteError::HostKeyRevoked {
                address: self.address.clone(),
                fingerprint: known_hosts::fingerprint(&key),
                known: place,
            })),
            _ if vouched => Ok(()),
            Verdict::Known => Ok(()),
            Verdict::Changed(place) => Err(self.changed(&key, place)),
            Verdict::Unknown => Err(Failure::Unknown(Box::new(key))),
        }
    }

    fn changed(&self, key: &PublicKey, known: String) -> Failure {
        let fingerprint = known_hosts::fingerprint(key);
        Failure::Refused(RemoteError::HostKeyChanged {
            address: self.address.clone(),
            fingerprint,
            known,
        })
    }

    /// Tells whether a known authority made `certificate` out to this host, and for now.
    fn vouched(&self, certificate: &Certificate) -> bool {
        let with = |marker| self.known.iter().filter(move |one| one.marker == Some(marker));
        let signer = certificate.signature_key();
        let revoked = with(Marker::Revoked).any(|one| one.key.key_data() == signer);
        let authorities =
            with(Marker::CertAuthority).map(|one| one.key.fingerprint(HashAlg::Sha256));
        let authorities = authorities.collect::<Vec<_>>();
        let name = self.name.to_lowercase();
        let mut principals = certificate.valid_principals().iter();
        !revoked
            && certificate.cert_type() == CertType::Host
            && principals.any(|one| patterns::matches(&one.to_lowercase(), &name))
            && certificate.validate(&authorities).is_ok()
    }
}

/// Every kind of host key that we take; `ssh-rsa` with SHA-1 is not among them.
fn usual() -> Vec<Algorithm> {
    vec![
        Algorithm::Ed25519,
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
        Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
        Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
    ]
}

fn same_kind(one: &Algorithm, other: &Algorithm) -> bool {
    one == other || matches!((one, other), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }))
}

impl Client {
    /// Judges by `policy`, and says in `end` why the transport ended.
    #[must_use]
    pub fn new(policy: Policy, end: EndReason) -> Self {
        Self { policy, end }
    }
}

impl Handler for Client {
    type Error = Failure;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Failure> {
        self.policy.judge(shown).map(|()| true)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Failure>) -> Result<(), Failure> {
        match reason {
            DisconnectReason::ReceivedDisconnect(said) => {
                self.end.set(said.message.trim().to_owned());
            }
            DisconnectReason::Error(Failure::Transport(error)) => self.end.set(plain(&error)),
            DisconnectReason::Error(_) => {}
        }
        Ok(())
    }
}

/// Says a transport error in our words.
#[must_use]
pub fn plain(error: &russh::Error) -> String {
    match error {
        russh::Error::KeepaliveTimeout | russh::Error::InactivityTimeout => {
            "the host no longer answers".to_owned()
        }
        russh::Error::Disconnect | russh::Error::HUP => "the host closed it".to_owned(),
        russh::Error::IO(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the host closed it".to_owned()
        }
        russh::Error::IO(error) => error.to_string().to_lowercase(),
        other => other.to_string().to_lowercase(),
    }
}
