//! Private key files: read when needed, unlocked at most once for all hosts.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{Certificate, HashAlg, PrivateKey, PublicKey};
use tokio::sync::{Mutex, OnceCell};

use super::{Prompt, RemoteError};
use crate::secret;

/// A private key file.
#[derive(Debug)]
pub struct KeyFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its public half.
    pub public: PublicKey,
    /// The certificates that lie beside it.
    pub certificates: Vec<Certificate>,
    text: Option<String>,
    unlocked: OnceCell<Result<Arc<PrivateKey>, String>>,
}

/// Why a key file is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// There is no such file.
    Missing,
    /// It is there, but.
    Because(String),
}

/// Every key file that was looked at, by path.
#[derive(Debug, Default)]
pub struct Keyring {
    files: Mutex<HashMap<PathBuf, Result<Arc<KeyFile>, Unusable>>>,
    asking: Mutex<()>,
}

/// Whether a person may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// Through the prompt.
    Allowed,
    /// Never: a connection that must work by itself.
    Never,
}

impl Keyring {
    /// Reads the key at `path`, once.
    pub async fn open(&self, path: &Path) -> Result<Arc<KeyFile>, Unusable> {
        let mut files = self.files.lock().await;
        files.entry(path.to_owned()).or_insert_with(|| KeyFile::read(path).map(Arc::new)).clone()
    }

    /// Tells whether a person is being asked right now.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        self.asking.try_lock().is_err()
    }

    /// The private key of `file`; asks for its passphrase at most once.
    ///
    /// # Errors
    /// When nobody is there to ask, or when the passphrase is wrong.
    pub async fn unlock(
        &self,
        file: &Arc<KeyFile>,
        prompt: &Arc<dyn Prompt>,
        asking: Asking,
    ) -> Result<Arc<PrivateKey>, String> {
        let Some(text) = &file.text else { return Err("only the public half is here".to_owned()) };
        if let Ok(key) = russh::keys::decode_secret_key(text, None) {
            return file.unlocked.get_or_init(|| async { Ok(Arc::new(key)) }).await.clone();
        }
        if let Some(done) = file.unlocked.get() {
            return done.clone();
        }
        if asking == Asking::Never {
            return Err("it is encrypted, and nobody can be asked now".to_owned());
        }
        // One question at a time, whichever key it is about.
        let _turn = self.asking.lock().await;
        let ask = || ask_and_decode(file.clone(), prompt.clone());
        file.unlocked.get_or_init(ask).await.clone()
    }
}

async fn ask_and_decode(
    file: Arc<KeyFile>,
    prompt: Arc<dyn Prompt>,
) -> Result<Arc<PrivateKey>, String> {
    let work = move || {
        let text = file.text.as_deref().unwrap_or_default();
        let Some(passphrase) = prompt.passphrase(&file.path) else {
            return Err(
                "it is encrypted, and there is no terminal to ask for its passphrase".to_owned()
            );
        };
        let passphrase = std::str::from_utf8(secret::bytes(&passphrase)).unwrap_or_default();
        russh::keys::decode_secret_key(text, Some(passphrase))
            .map(Arc::new)
            .map_err(|_| "the passphrase is wrong".to_owned())
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(error.to_string()))
}

impl KeyFile {
    fn read(path: &Path) -> Result<Self, Unusable> {
        let public_file = beside(path, ".pub");
        let public = || {
            fs::read_to_string(&public_file)
                .ok()
                .and_then(|text| PublicKey::from_openssh(&text).ok())
        };
        let text = match fs::read_to_string(path) {
            Ok(text) => Some(text),
            // An agent may hold the private half.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Unusable::Because(error.to_string())),
        };
        if text.is_some() {
            check_mode(path)?;
        }
        let inner = text.as_deref().and_then(public_half);
        let Some(public) = inner.or_else(public) else {
            return Err(text.map_or(Unusable::Missing, |_| {
                Unusable::Because("it is not a private key that can be read".to_owned())
            }));
        };
        let certificate = fs::read_to_string(beside(path, "-cert.pub")).ok();
        let certificates = certificate.and_then(|text| Certificate::from_openssh(&text).ok());
        Ok(Self {
            path: path.to_owned(),
            public,
            certificates: certificates.into_iter().collect(),
            text,
            unlocked: OnceCell::new(),
        })
    }

    /// Tells whether the private half is here.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.text.is_some()
    }
}

/// Reads a certificate file.
///
/// # Errors
/// When there is none that can be read.
pub fn certificate(path: &Path) -> Result<Certificate, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    Certificate::from_openssh(&text).map_err(|error| error.to_string())
}

/// Signs `data` as RFC 4252 wants it, and appends the signature.
///
/// # Errors
/// When the key cannot sign.
pub fn sign(
    key: &PrivateKey,
    hash: Option<HashAlg>,
    mut data: Vec<u8>,
) -> Result<Vec<u8>, russh::keys::Error> {
    let signature = match key.key_data() {
        KeypairData::Rsa(pair) => (pair, Some(hash.unwrap_or(HashAlg::Sha512))).try_sign(&data)?,
        other => other.try_sign(&data)?,
    };
    let mut blob = Vec::new();
    signature.encode(&mut blob)?;
    blob.as_slice().encode(&mut data)?;
    Ok(data)
}

/// Turns a missing key that cluster.toml names into the error that it is.
#[must_use]
pub fn missing(path: &Path, host: &str) -> RemoteError {
    RemoteError::Local(format!("the key file `{}` of `{host}` does not exist", path.display()))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn check_mode(path: &Path) -> Result<(), Unusable> {
    let mode = fs::metadata(path)
        .map_err(|error| Unusable::Because(error.to_string()))?
        .permissions()
        .mode();
    if mode.trailing_zeros() >= 6 {
        return Ok(());
    }
    Err(Unusable::Because(format!("others can read it: its mode is {:04o}", mode & 0o7777)))
}

/// The public half, where the file shows it without a passphrase.
fn public_half(text: &str) -> Option<PublicKey> {
    if let Ok(key) = PrivateKey::from_openssh(text) {
        return Some(key.public_key().clone());
    }
    russh::keys::decode_secret_key(text, None).ok().map(|key| key.public_key().clone())
}
