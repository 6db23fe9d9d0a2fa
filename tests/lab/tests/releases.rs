//! The release server: upstream's layout, and each way to serve it wrongly.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::Result;
use lab::{Artifact, Fault, Relay, Releases};

fn get(releases: &Releases, path: &str) -> Result<(String, Vec<u8>)> {
    let mut stream = TcpStream::connect(releases.address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: lab\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let body = bytes.split_off(end);
    Ok((String::from_utf8(bytes)?, body))
}

fn served() -> Result<Releases> {
    let releases = Releases::start("127.0.0.1:0".parse()?)?;
    releases.add_k3s(&Artifact {
        path: "/bin/true".into(),
        version: "v1.36.3+k3s1".to_owned(),
        sim: true,
    })?;
    Ok(releases)
}

#[test]
fn a_release_has_its_hash_in_upstreams_layout() -> Result<()> {
    let releases = served()?;
    let (_, binary) = get(&releases, "/k3s/v1.36.3+k3s1/k3s")?;
    assert_eq!(binary, std::fs::read("/bin/true")?);
    let (_, list) = get(&releases, "/k3s/v1.36.3%2Bk3s1/sha256sum-amd64.txt")?;
    let oracle = std::process::Command::new("sha256sum").arg("/bin/true").output()?.stdout;
    let oracle = String::from_utf8(oracle)?.replace("/bin/true", "k3s");
    assert!(String::from_utf8(list)?.ends_with(&oracle));
    Ok(())
}

#[test]
fn each_fault_is_what_it_says() -> Result<()> {
    let releases = served()?;
    let path = "/k3s/v1.36.3+k3s1/k3s";
    let right = std::fs::read("/bin/true")?;
    releases.fault("/k3s", Fault::Truncated(100));
    let (head, body) = get(&releases, path)?;
    assert!(head.contains(&format!("Content-Length: {}\r\n", right.len())));
    assert_eq!(body, right[..100]);
    releases.fault("/k3s", Fault::WrongBytes);
    let (_, body) = get(&releases, path)?;
    assert!(body.len() == right.len() && body != right);
    releases.fault("/k3s", Fault::Html);
    let (head, body) = get(&releases, path)?;
    assert!(head.starts_with("HTTP/1.1 200 ") && body.starts_with(b"<!DOCTYPE html>"));
    releases.fault("/k3s", Fault::Status(500));
    assert!(get(&releases, path)?.0.starts_with("HTTP/1.1 500 "));
    releases.heal();
    assert_eq!(get(&releases, path)?.1, right);
    assert!(get(&releases, "/nothing")?.0.starts_with("HTTP/1.1 404 "));
    Ok(())
}

#[test]
fn a_relay_adds_its_round_trip_to_connecting_and_to_each_exchange() -> Result<()> {
    let releases = served()?;
    let relay = Relay::start(releases.address, Duration::from_millis(100))?;
    let start = Instant::now();
    let mut stream = TcpStream::connect(relay.address)?;
    write!(stream, "GET /nothing HTTP/1.1\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let took = start.elapsed();
    assert!(text.starts_with("HTTP/1.1 404"));
    assert!(took >= Duration::from_millis(200), "{took:?}");
    assert!(took < Duration::from_millis(400), "{took:?}");
    Ok(())
}
