//! Logging in: which keys are offered, in which order, and what became of each.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Certificate, HashAlg, PublicKey};
use russh::{AgentAuthError, Signer};
use tokio::net::UnixStream;

use super::host_key::Client;
use super::keys::{self, Asking, KeyFile, Keyring, Unusable};
use super::{Prompt, RemoteError};

/// How long an agent may take to list its keys.
const AGENT: Duration = Duration::from_secs(5);

/// What a login is tried with.
#[derive(Debug, Clone, Default)]
pub struct Identities {
    /// Keys that cluster.toml names: they must exist.
    pub required: Vec<PathBuf>,
    /// Keys that `~/.ssh/config` names, or the usual ones.
    pub optional: Vec<PathBuf>,
    /// Certificates that `~/.ssh/config` names.
    pub certificates: Vec<PathBuf>,
    /// The socket of the agent.
    pub agent: Option<PathBuf>,
    /// The agent's keys are used only where they are also named above.
    pub only_named: bool,
}

/// Who logs in where, with what.
pub struct Login<'a> {
    /// The user on the host.
    pub user: &'a str,
    /// Host and port, for messages.
    pub address: &'a str,
    /// What to try.
    pub identities: &'a Identities,
    /// The keys of this run.
    pub keyring: &'a Keyring,
    /// Whom to ask for a passphrase.
    pub prompt: &'a Arc<dyn Prompt>,
    /// Whether to ask.
    pub asking: Asking,
}

type Agent = AgentClient<UnixStream>;

/// One thing to offer.
struct Candidate {
    public: PublicKey,
    certificate: Option<Certificate>,
    label: String,
    source: Source,
}

enum Source {
    File(Arc<KeyFile>),
    /// The agent signs as this identity.
    Agent(Box<AgentIdentity>),
}

/// Signs with a file's key or with the agent.
struct Pen<'a> {
    candidate: &'a Candidate,
    login: &'a Login<'a>,
    agent: Option<&'a mut Agent>,
    trouble: Option<String>,
}

impl Login<'_> {
    /// Offers one key after the other until the host lets us in.
    ///
    /// # Errors
    /// [`RemoteError::Authentication`] with every key and its fate.
    pub async fn perform(&self, session: &mut Handle<Client>) -> Result<(), RemoteError> {
        let mut tried = Vec::new();
        let (mut agent, held) = self.agent(session, &mut tried).await;
        let candidates = self.candidates(held, &mut tried).await?;
        let mut closed = false;
        for candidate in &candidates {
            if closed {
                tried.push(format!(
                    "{}: not offered, the host had closed the connection",
                    candidate.label
                ));
                continue;
            }
            let mut pen = Pen { candidate, login: self, agent: agent.as_mut(), trouble: None };
            let fate = match pen.offer(session).await {
                Ok(AuthResult::Success) => return Ok(()),
                Ok(AuthResult::Failure { partial_success: true, remaining_methods }) => {
                    let more = remaining_methods.iter().map(String::from).collect::<Vec<_>>();
                    format!("accepted, but the host also wants {}", more.join(" or "))
                }
                Ok(AuthResult::Failure { .. }) => "refused".to_owned(),
                Err(error) => pen.trouble.take().unwrap_or_else(|| error.to_string()),
            };
            tried.push(format!("{}: {fate}", candidate.label));
            closed = session.is_closed();
        }
        if candidates.is_empty() {
            tried.push("there is no key to offer".to_owned());
        }
        Err(RemoteError::Authentication {
            user: self.user.to_owned(),
            address: self.address.to_owned(),
            tried,
        })
    }

    async fn agent(
        &self,
        session: &Handle<Client>,
        tried: &mut Vec<String>,
    ) -> (Option<Agent>, Vec<AgentIdentity>) {
        let Some(socket) = &self.identities.agent else { return (None, Vec::new()) };
        let ask = async {
            let mut agent = AgentClient::connect_uds(socket).await?;
            if let Some(binding) = session.agent_session_binding() {
                // An agent that does not know of bindings still lists its keys.
                let _ = agent.bind_session(binding, false).await;
            }
            let held = agent.request_identities().await?;
            Ok::<_, russh::keys::Error>((agent, held))
        };
        let answer = tokio::time::timeout(AGENT, ask).await;
        let reason = match answer {
            Ok(Ok((agent, held))) => return (Some(agent), held),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("does not answer within {} s", AGENT.as_secs()),
        };
        tried.push(format!("agent at {}: {reason}", socket.display()));
        (None, Vec::new())
    }

    async fn candidates(
        &self,
        mut held: Vec<AgentIdentity>,
        tried: &mut Vec<String>,
    ) -> Result<Vec<Candidate>, RemoteError> {
        let mut found = Vec::new();
        let required = self.identities.required.iter().map(|path| (path, true));
        let optional = self.identities.optional.iter().map(|path| (path, false));
        for (path, must_exist) in required.chain(optional) {
            match self.keyring.open(path).await {
                Ok(file) => self.add_file(&file, &mut held, &mut found, tried),
                Err(Unusable::Missing) if must_exist => {
                    return Err(keys::missing(path, self.address));
                }
                Err(Unusable::Missing) => {}
                Err(Unusable::Because(reason)) => {
                    tried.push(format!("{}: skipped, {reason}", path.display()));
                }
            }
        }
        for identity in held {
            let candidate = Candidate::held(identity);
            if self.identities.only_named {
                tried.push(format!("{}: skipped, `IdentitiesOnly` is set", candidate.label));
            } else {
                found.push(candidate);
            }
        }
        Ok(found)
    }

    /// Adds a file's certificates and key; where the agent holds the key, the agent signs.
    fn add_file(
        &self,
        file: &Arc<KeyFile>,
        held: &mut Vec<AgentIdentity>,
        found: &mut Vec<Candidate>,
        tried: &mut Vec<String>,
    ) {
        if found.iter().any(|known| known.public.key_data() == file.public.key_data()) {
            return;
        }
        let in_agent =
            held.iter().any(|identity| identity.public_key().key_data() == file.public.key_data());
        held.retain(|identity| identity.public_key().key_data() != file.public.key_data());
        if !in_agent && !file.is_private() {
            tried.push(format!("{}: skipped, only its public half is here", file.path.display()));
            return;
        }
        let identity = Box::new(AgentIdentity::from(file.public.clone()));
        let source =
            || if in_agent { Source::Agent(identity.clone()) } else { Source::File(file.clone()) };
        let configured =
            self.identities.certificates.iter().filter_map(|path| keys::certificate(path).ok());
        let certificates = file.certificates.iter().cloned().chain(configured);
        for certificate in certificates.filter(|one| one.public_key() == file.public.key_data()) {
            let label = label(&format!("certificate of {}", file.path.display()), &file.public);
            let certificate = Some(certificate);
            found.push(Candidate {
                public: file.public.clone(),
                certificate,
                label,
                source: source(),
            });
        }
        let label = label(&file.path.display().to_string(), &file.public);
        found.push(Candidate {
            public: file.public.clone(),
            certificate: None,
            label,
            source: source(),
        });
    }
}

impl Candidate {
    fn held(identity: AgentIdentity) -> Self {
        let public = identity.public_key().into_owned();
        let certificate = match &identity {
            AgentIdentity::Certificate { certificate, .. } => Some(certificate.clone()),
            AgentIdentity::PublicKey { .. } => None,
        };
        let label = label(&format!("`{}` of the agent", identity.comment()), &public);
        Self { public, certificate, label, source: Source::Agent(Box::new(identity)) }
    }
}

fn label(name: &str, key: &PublicKey) -> String {
    format!("{name} ({})", super::known_hosts::fingerprint(key))
}

impl Pen<'_> {
    async fn offer(&mut self, session: &mut Handle<Client>) -> Result<AuthResult, AgentAuthError> {
        let candidate = self.candidate;
        let hash =
            if candidate.public.algorithm().is_rsa() { rsa_hash(session).await } else { None };
        let user = self.login.user.to_owned();
        match candidate.certificate.clone() {
            Some(certificate) => {
                session.authenticate_certificate_with(user, certificate, hash, self).await
            }
            None => {
                session
                    .authenticate_publickey_with(user, candidate.public.clone(), hash, self)
                    .await
            }
        }
    }
}

/// The best hash that the host takes for RSA; never SHA-1.
async fn rsa_hash(session: &Handle<Client>) -> Option<HashAlg> {
    let best = session.best_supported_rsa_hash().await.ok().flatten().flatten();
    Some(best.unwrap_or(HashAlg::Sha512))
}

impl Signer for Pen<'_> {
    type Error = AgentAuthError;

    async fn auth_sign(
        &mut self,
        _identity: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, AgentAuthError> {
        let file = match (&self.candidate.source, self.agent.as_mut()) {
            (Source::File(file), _) => file,
            (Source::Agent(identity), Some(agent)) => {
                let signed = agent.sign_request(identity, hash, data).await;
                return signed.map_err(|error| {
                    self.trouble = Some(format!("accepted, but the agent did not sign: {error}"));
                    error.into()
                });
            }
            (Source::Agent(_), None) => return Err(russh::keys::Error::AgentFailure.into()),
        };
        let key = self.login.keyring.unlock(file, self.login.prompt, self.login.asking).await;
        let key = key.map_err(|reason| {
            self.trouble = Some(format!("accepted, but {reason}"));
            AgentAuthError::from(russh::keys::Error::CouldNotReadKey)
        })?;
        Ok(keys::sign(&key, hash, data)?)
    }
}

/// Expands a leading `~` to `home`.
#[must_use]
pub fn expand(path: &Path, home: &Path) -> PathBuf {
    path.strip_prefix("~").map_or_else(|_| path.to_owned(), |rest| home.join(rest))
}
