//! The database of the lab: a value for each key of each name, for who has the password.
//!
//! `sim database ADDRESS:PORT USER PASSWORD-FILE`: one JSON line is asked, one is answered.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(5);

/// Serves for ever.
pub fn main(arguments: &[String]) -> ExitCode {
    let [address, user, file] = arguments else { return ExitCode::from(64) };
    let Ok(password) = std::fs::read_to_string(file) else { return ExitCode::FAILURE };
    let Ok(listener) = TcpListener::bind(address.as_str()) else { return ExitCode::FAILURE };
    let mut values: BTreeMap<String, Value> = BTreeMap::new();
    for stream in listener.incoming().flatten() {
        // A client that goes away in the middle is its own affair.
        let _ = serve(&stream, user, password.trim(), &mut values);
    }
    ExitCode::SUCCESS
}

fn serve(
    stream: &TcpStream,
    user: &str,
    password: &str,
    values: &mut BTreeMap<String, Value>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(LIMIT))?;
    let mut line = String::new();
    BufReader::new(stream.try_clone()?).read_line(&mut line)?;
    let asked: Value = serde_json::from_str(&line).unwrap_or_default();
    let answer = if asked["user"] != user || asked["password"] != password {
        let name = asked["user"].as_str().unwrap_or_default();
        let text =
            format!("FATAL: password authentication failed for user {name:?} (SQLSTATE 28P01)");
        json!({ "error": text })
    } else {
        let key = format!("{}/{}", asked["name"], asked["key"]);
        if let Some(value) = asked.get("value") {
            values.insert(key.clone(), value.clone());
        }
        json!({ "value": values.get(&key) })
    };
    let mut stream = stream;
    writeln!(stream, "{answer}")
}

/// Where a database is, and as whom it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    address: String,
    user: String,
    password: String,
    name: String,
}

impl Database {
    /// Reads `postgres://user:password@host:port/name`, and what `MySQL` and etcd have instead.
    pub fn parse(endpoint: &str) -> Option<Self> {
        let (scheme, rest) = endpoint.split_once("://")?;
        let rest = if scheme.starts_with("http") { rest.split(',').next()? } else { rest };
        let default = match scheme {
            "postgres" => 5432,
            "mysql" => 3306,
            "http" | "https" => 2379,
            _ => return None,
        };
        let (user, place) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (place, name) = place.split_once('/').unwrap_or((place, "kine"));
        let place =
            place.strip_prefix("tcp(").and_then(|place| place.strip_suffix(')')).unwrap_or(place);
        let address = match place.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => place.to_owned(),
            _ => format!("{place}:{default}"),
        };
        let (user, password) = user.split_once(':').unwrap_or((user, ""));
        let decode = |text: &str| crate::k3s::decode(text);
        let name = name.split('?').next().unwrap_or_default().to_owned();
        Some(Self { address, user: decode(user), password: decode(password), name })
    }

    /// Reads the value of `key`.
    ///
    /// # Errors
    /// The message of the database, or why it was not reached.
    pub fn get(&self, key: &str) -> Result<Value, String> {
        self.ask(key, None)
    }

    /// Sets the value of `key`.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub fn put(&self, key: &str, value: &Value) -> Result<(), String> {
        self.ask(key, Some(value)).map(drop)
    }

    fn ask(&self, key: &str, value: Option<&Value>) -> Result<Value, String> {
        let mut asked =
            json!({ "user": self.user, "password": self.password, "name": self.name, "key": key });
        if let Some(value) = value {
            asked["value"] = value.clone();
        }
        let wrong = |error: std::io::Error| {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default().to_lowercase();
            format!("dial tcp {}: connect: {text}", self.address)
        };
        let stream = TcpStream::connect(&self.address).map_err(wrong)?;
        stream.set_read_timeout(Some(LIMIT)).map_err(wrong)?;
        writeln!(&stream, "{asked}").map_err(wrong)?;
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).map_err(wrong)?;
        let answer: Value = serde_json::from_str(&line).map_err(|_| "unexpected EOF".to_owned())?;
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["value"].clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_of_every_kind_are_read() {
        let read = |text: &str| {
            let found = Database::parse(text).expect(text);
            (found.address, found.user, found.password, found.name)
        };
        let owned = |parts: [&str; 4]| {
            let [address, user, password, name] = parts.map(str::to_owned);
            (address, user, password, name)
        };
        assert_eq!(
            read("postgres://k:p%40w@db:5433/k3s?x=1"),
            owned(["db:5433", "k", "p@w", "k3s"])
        );
        assert_eq!(read("mysql://k:p@tcp(db)/k3s"), owned(["db:3306", "k", "p", "k3s"]));
        assert_eq!(read("https://a:2379,https://b:2379"), owned(["a:2379", "", "", "kine"]));
        assert!(Database::parse("db:5432").is_none() && Database::parse("ftp://db").is_none());
    }
}
