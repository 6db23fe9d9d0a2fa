//! A datastore outside of k3s: the objects are there, and what another server would begin with.

use super::flags::Options;
use super::layout::Paths;
use super::store::Store;
use super::{bootstrap, token};
use crate::database::Database;
use serde_json::json;

const BOOTSTRAP: &str = "bootstrap";
const WRONG: &str =
    "starting kubernetes: preparing server: creating storage endpoint: building kine";

/// Returns the datastore that the options name, where they name one.
///
/// # Errors
/// It is none that k3s knows.
pub fn database(options: &Options) -> anyhow::Result<Option<Database>> {
    let Some(endpoint) = options.text("datastore-endpoint") else { return Ok(None) };
    let scheme = endpoint.split("://").next().unwrap_or_default();
    let unknown = || anyhow::anyhow!("{WRONG}: storage backend is not defined: {scheme:.8}");
    Database::parse(endpoint).ok_or_else(unknown).map(Some)
}

/// Opens the objects in `database`.
///
/// # Errors
/// It is not reached, or the password is wrong.
pub fn open(database: &Database) -> anyhow::Result<Store> {
    Store::in_database(database.clone()).map_err(|error| wrong(&error))
}

/// Fetches what an earlier server left in `database`, which the token opens.
///
/// # Errors
/// As for [`open`], and with another token.
pub fn fetch(database: &Database, paths: &Paths, given: Option<&str>) -> anyhow::Result<()> {
    let kept = database.get(BOOTSTRAP).map_err(|error| wrong(&error))?;
    if kept.is_null() || paths.server.join("tls/server-ca.crt").exists() {
        return Ok(());
    }
    let password = given.and_then(|given| token::Token::parse(given).ok()?.password().map(hashed));
    if password.is_none_or(|password| kept["password"] != password.as_str()) {
        anyhow::bail!(
            "starting kubernetes: preparing server: failed to bootstrap cluster data: bootstrap data already found and encrypted with different token"
        );
    }
    bootstrap::write(paths, &kept["files"])
}

/// Leaves in `database` what another server would begin with.
///
/// # Errors
/// As for [`open`].
pub fn leave(database: &Database, paths: &Paths, password: &str) -> anyhow::Result<()> {
    let files = bootstrap::read(paths);
    database
        .put(BOOTSTRAP, &json!({ "password": hashed(password), "files": files }))
        .map_err(|error| wrong(&error))
}

fn hashed(password: &str) -> String {
    token::sha256(password.as_bytes())
}

fn wrong(error: &str) -> anyhow::Error {
    anyhow::anyhow!("{WRONG}: {error}")
}
