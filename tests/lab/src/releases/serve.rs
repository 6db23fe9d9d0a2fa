//! One request a connection, written by hand: a library would not let us lie about lengths.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Fault, Kind, State, lock};

const PAGE: &[u8] = b"<!DOCTYPE html><html><head><title>Log in to the network</title></head>\
                      <body><form>Please accept our terms.</form></body></html>\n";
/// How long a client may take to send its request.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn accept(
    listener: &TcpListener,
    state: &Arc<Mutex<State>>,
    tls: Option<&Arc<ServerConfig>>,
) {
    for stream in listener.incoming().flatten() {
        let (state, tls) = (Arc::clone(state), tls.cloned());
        std::thread::spawn(move || {
            stream.set_read_timeout(Some(PATIENCE)).ok()?;
            let Some(tls) = tls else { return answer(stream, &state) };
            let mut stream = StreamOwned::new(ServerConnection::new(tls).ok()?, stream);
            answer(&mut stream, &state)?;
            stream.conn.send_close_notify();
            stream.flush().ok()
        });
    }
}

fn answer(mut stream: impl Read + Write, state: &Mutex<State>) -> Option<()> {
    let (method, path) = request(&mut stream)?;
    let (file, fault, kind) = {
        let mut state = lock(state);
        state.requests.push(path.clone());
        let fault = state.faults.iter().find(|(suffix, _)| path.ends_with(suffix.as_str()));
        let fault = fault.map(|(_, fault)| fault.clone());
        (state.files.get(&path).cloned(), fault, state.kinds.get(&path).cloned())
    };
    let Some(file) = file else {
        return if path.starts_with("/v2/") {
            unknown(&mut stream)
        } else {
            status(&mut stream, 404)
        };
    };
    let body = if method == "HEAD" { &[][..] } else { file.as_slice() };
    match fault {
        None => {
            match kind {
                None => head(&mut stream, 200, "application/octet-stream", file.len())?,
                Some(Kind { media_type, digest }) => {
                    let more = format!("{media_type}\r\nDocker-Content-Digest: {digest}");
                    head(&mut stream, 200, &more, file.len())?;
                }
            }
            stream.write_all(body).ok()
        }
        Some(Fault::Truncated(count)) => {
            head(&mut stream, 200, "application/octet-stream", file.len())?;
            stream.write_all(body.get(..count).unwrap_or(body)).ok()
        }
        Some(Fault::WrongBytes) => {
            head(&mut stream, 200, "application/octet-stream", file.len())?;
            stream.write_all(&body.iter().map(|byte| !byte).collect::<Vec<u8>>()).ok()
        }
        Some(Fault::Html) => {
            head(&mut stream, 200, "text/html", PAGE.len())?;
            stream.write_all(if body.is_empty() { body } else { PAGE }).ok()
        }
        Some(Fault::Status(code)) => status(&mut stream, code),
        Some(Fault::Slow(rate)) => {
            head(&mut stream, 200, "application/octet-stream", file.len())?;
            slowly(&mut stream, body, rate)
        }
        Some(Fault::Silent) => loop {
            sleep(PATIENCE);
            // Only to notice that the client has gone.
            if stream.read(&mut [0]).is_ok_and(|count| count == 0) {
                return None;
            }
        },
    }
}

fn slowly(stream: &mut (impl Read + Write), body: &[u8], rate: usize) -> Option<()> {
    for piece in body.chunks((rate / 10).max(1)) {
        stream.write_all(piece).ok()?;
        sleep(Duration::from_millis(100));
    }
    Some(())
}

/// Reads one request; its method and its path, `%2B` decoded.
fn request(stream: &mut (impl Read + Write)) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(buffer.get(..count)?);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        if request.parse(&bytes).ok()?.is_complete() {
            let path = request.path?.replace("%2B", "+").replace("%2b", "+");
            // Asked as a proxy, it has everything itself.
            let path = match path.strip_prefix("http://") {
                Some(rest) => format!("/{}", rest.split_once('/')?.1),
                None => path,
            };
            return Some((request.method?.to_owned(), path));
        }
    }
}

fn head(stream: &mut (impl Read + Write), code: u16, kind: &str, length: usize) -> Option<()> {
    let head = format!(
        "HTTP/1.1 {code} {}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n",
        if code == 200 { "OK" } else { "Not OK" }
    );
    stream.write_all(head.as_bytes()).ok()
}

/// What a registry says of an image that it does not have.
fn unknown(stream: &mut (impl Read + Write)) -> Option<()> {
    let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
    head(stream, 404, "application/json", body.len())?;
    stream.write_all(body).ok()
}

fn status(stream: &mut (impl Read + Write), code: u16) -> Option<()> {
    let text = format!("{code}\n");
    head(stream, code, "text/plain", text.len())?;
    stream.write_all(text.as_bytes()).ok()
}
