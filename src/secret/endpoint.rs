//! The endpoint of a database: all of it is secret but for where it is.

use std::net::IpAddr;

use anyhow::{Context, anyhow, bail, ensure};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

/// What endpoints look like.
const FORM: &str = "`postgres://user:password@host:5432/name`, \
                    `mysql://user:password@tcp(host:3306)/name`, or `https://host:2379` for etcd";

/// The endpoint of a database, and the places in it that may be shown.
#[derive(Debug, Clone)]
pub struct Endpoint {
    whole: SecretString,
    places: Vec<Place>,
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bracket = self.host.contains(':');
        let (open, close) = if bracket { ("[", "]") } else { ("", "") };
        write!(formatter, "{open}{}{close}:{}", self.host, self.port)
    }
}

impl Endpoint {
    /// Finds out where the database is.
    ///
    /// # Errors
    /// When it is no endpoint that k3s knows. No error holds any of it.
    pub fn read(whole: SecretString) -> anyhow::Result<Self> {
        let places = places(whole.expose_secret())
            .map_err(|error| anyhow!("{error}\nhint: it is {FORM}"))?;
        Ok(Self { whole, places })
    }

    /// Where the database is; etcd may be in several places.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The file of k3s' configuration that names the endpoint.
    #[must_use]
    pub fn configuration(&self) -> SecretString {
        // JSON's strings are YAML's, and no version of YAML reads them as anything else.
        let quoted = serde_json::to_string(self.whole.expose_secret());
        let quoted = Zeroizing::new(quoted.unwrap_or_default());
        SecretString::from(format!("datastore-endpoint: {}\n", *quoted))
    }
}

fn places(whole: &str) -> anyhow::Result<Vec<Place>> {
    let (scheme, rest) = whole.split_once("://").context("it has no scheme")?;
    let (list, default) = match scheme {
        "postgres" | "postgresql" => (database(rest)?, 5432),
        "mysql" => (mysql(rest)?, 3306),
        "http" | "https" => (etcd(rest)?, 2379),
        _ => bail!("its scheme is not one that k3s knows"),
    };
    list.iter().map(|text| place(text, default)).collect()
}

/// The place in `user:password@place/name?options`.
fn database(rest: &str) -> anyhow::Result<Vec<String>> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    // What looks like a place would be a part of the password.
    ensure!(
        !path.contains('@'),
        "`/`, `?`, `#` and `@` in its user or password must be written as %2F, %3F, %23 and %40"
    );
    let (_, place) = authority.rsplit_once('@').context("it has no user before an `@`")?;
    Ok(vec![place.to_owned()])
}

/// The place in `user:password@tcp(place)/name`, as the driver for `MySQL` reads it: from the end.
fn mysql(rest: &str) -> anyhow::Result<Vec<String>> {
    let (before, _) = rest.rsplit_once('/').context("it has no name of a database")?;
    let (_, place) = before.rsplit_once('@').context("it has no user before an `@`")?;
    let inner = place.strip_prefix("tcp(").and_then(|place| place.strip_suffix(')'));
    let inner = inner.context("what follows its `@` is not `tcp(host:port)`")?;
    Ok(vec![inner.to_owned()])
}

/// The places in `place,https://place`.
fn etcd(rest: &str) -> anyhow::Result<Vec<String>> {
    let bare = |part: &str| {
        let part = part.trim_start_matches("https://").trim_start_matches("http://");
        part.trim_end_matches('/').to_owned()
    };
    let list: Vec<String> = rest.split(',').map(bare).collect();
    ensure!(!rest.contains('@'), "etcd takes no user and password in its endpoint");
    Ok(list)
}

/// A host, and the port behind it where there is one.
fn place(text: &str, default: u16) -> anyhow::Result<Place> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    ensure!(!host.is_empty(), "it has no host");
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_host = host.bytes().all(plain) || host.parse::<IpAddr>().is_ok();
    ensure!(is_host, "its host is neither a name nor an address");
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0),
        None => Some(default),
    };
    Ok(Place { host: host.to_owned(), port: port.context("its port is not a number")? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CANARY: &str = "canary";

    fn read(text: &str) -> anyhow::Result<Endpoint> {
        Endpoint::read(SecretString::from(text))
    }

    fn shown(text: &str) -> String {
        let endpoint = read(text).expect(text);
        endpoint.places().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_place_is_found_in_every_kind_of_endpoint() {
        for (endpoint, place) in [
            ("postgres://k3s:canary@db.example.com:5433/k3s", "db.example.com:5433"),
            ("postgresql://k3s:a%40b@192.0.2.7/k3s?sslmode=require", "192.0.2.7:5432"),
            ("postgres://k3s:x@y@[2001:db8::1]:5432", "[2001:db8::1]:5432"),
            ("mysql://k3s:ca/na@ry@tcp(db:3307)/kubernetes", "db:3307"),
            ("mysql://k3s:canary@tcp(db)/kubernetes?x=1", "db:3306"),
            ("https://a:2379,https://b", "a:2379 b:2379"),
            ("http://192.0.2.7:2379/", "192.0.2.7:2379"),
        ] {
            assert_eq!(shown(endpoint), place, "{endpoint}");
        }
    }

    #[test]
    fn a_bad_endpoint_is_refused_and_not_shown() {
        for (endpoint, reason) in [
            ("canary", "no scheme"),
            ("canary@db:5432/k3s", "no scheme"),
            ("oracle://k3s:canary@db/k3s", "not one that k3s knows"),
            ("canary://db", "not one that k3s knows"),
            ("postgres://canary", "no user"),
            ("postgres://k3s:canary@", "no host"),
            ("postgres://k3s:canary@:5432/k3s", "no host"),
            ("postgres://k3s:canary@db:54x32/k3s", "not a number"),
            ("postgres://k3s:canary@db:0/k3s", "not a number"),
            ("postgres://k3s:1234/canary@db/k3s", "%2F"),
            ("postgres://k3s:canary@d b/k3s", "neither a name nor an address"),
            ("mysql://k3s:canary@db:3306/k3s", "tcp(host:port)"),
            ("mysql://k3s:canary@unix(/run/mysqld.sock)/k3s", "tcp(host:port)"),
            ("https://k3s:canary@db", "no user and password"),
        ] {
            let error = format!("{:#}", read(endpoint).expect_err(endpoint));
            assert!(error.contains(reason), "{endpoint}: {error}");
            assert!(!error.contains(CANARY), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_password_gets_into_what_is_shown(password in "[!-~]{6,20}") {
            prop_assume!(!FORM.contains(&password) && !"host1.example.com:5432".contains(&password));
            let endpoint = format!("postgres://k3s:{password}@host1.example.com:5432/k3s");
            match read(&endpoint) {
                Ok(endpoint) => {
                    let places = format!("{endpoint:?}");
                    prop_assert!(places.contains("host1.example.com"), "{}", places);
                    prop_assert!(!places.contains(&password), "{}", places);
                }
                Err(error) => {
                    let shown = format!("{error:?}");
                    prop_assert!(!shown.contains(&password), "{}", shown);
                }
            }
        }

        #[test]
        fn k3s_reads_the_endpoint_that_was_given(password in "\\PC{1,20}") {
            let whole = format!("postgres://k3s:{password}@db:5432/k3s");
            let endpoint = Endpoint { whole: SecretString::from(whole.clone()), places: Vec::new() };
            let yaml = endpoint.configuration();
            let read: serde_json::Value =
                serde_saphyr::from_str(yaml.expose_secret()).expect("it is YAML");
            prop_assert_eq!(&read["datastore-endpoint"], &serde_json::json!(whole));
        }
    }
}
