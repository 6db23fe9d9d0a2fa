//! Passwords for sudo: resolved or asked for once, kept in memory.

use secrecy::SecretString;

use super::RemoteError;
use super::connector::Shared;
use super::ssh::Connection;
use crate::secret::SecretRef;

impl Shared {
    /// Resolves `reference` once for all hosts that share it.
    pub(super) async fn resolve(&self, reference: &SecretRef) -> Result<SecretString, RemoteError> {
        let key = format!("{reference:?}");
        let mut passwords = self.passwords.lock().await;
        if let Some(Some(known)) = passwords.get(&key) {
            return Ok(known.clone());
        }
        let reference = reference.clone();
        let resolved = tokio::task::spawn_blocking(move || reference.resolve()).await;
        let resolved = resolved.map_err(|error| RemoteError::Local(error.to_string()))?;
        let secret = resolved.map_err(|error| {
            RemoteError::Local(format!("cannot get the sudo password: {error:#}"))
        })?;
        passwords.insert(key, Some(secret.clone()));
        Ok(secret)
    }

    /// Asks for the password of a user, once for all hosts; `None` when nobody answers.
    pub(super) async fn ask_password(&self, connection: &Connection) -> Option<SecretString> {
        let mut passwords = self.passwords.lock().await;
        let key = format!("user {}", connection.user());
        if let Some(answer) = passwords.get(&key) {
            return answer.clone();
        }
        let (prompt, user) = (self.prompt.clone(), connection.user().to_owned());
        let host = connection.host().name.clone();
        let ask = move || prompt.sudo_password(&user, &host);
        let answer = tokio::task::spawn_blocking(ask).await.unwrap_or(None);
        passwords.insert(key, answer.clone());
        answer
    }
}
