//! What may answer for a tunnel: the services that cloudflared knows.

use super::syntax::{self, Parsed, Wrong};

/// Schemes of what cloudflared connects to.
const SCHEMES: [&str; 8] = ["http", "https", "ws", "wss", "tcp", "ssh", "rdp", "smb"];

/// `http://127.0.0.1:8000`, `unix:/run/app.sock`, `http_status:404`, `hello_world`.
pub fn service(text: &str) -> Parsed<()> {
    let wrong =
        |what: &str, hint: &str| Err(Wrong { what: what.to_owned(), hint: Some(hint.to_owned()) });
    if let Some(code) = text.strip_prefix("http_status:") {
        let known = code.parse().is_ok_and(|code: u16| (100..=999).contains(&code));
        return if known {
            Ok(())
        } else {
            wrong("not a status", "an example is `http_status:404`")
        };
    }
    if let Some(path) = text.strip_prefix("unix:").or_else(|| text.strip_prefix("unix+tls:")) {
        let absolute = path.starts_with('/') && !path.contains(char::is_whitespace);
        return if absolute {
            Ok(())
        } else {
            wrong("a socket without an absolute path", "an example is `unix:/run/app.sock`")
        };
    }
    if text == "hello_world" {
        return Ok(());
    }
    let example = "an example is `http://127.0.0.1:8000`";
    let Some((scheme, rest)) = text.split_once("://") else {
        return wrong("not a service: it has no scheme", example);
    };
    if !SCHEMES.contains(&scheme) {
        let known = super::suggest::either(SCHEMES);
        return wrong("a service with an unknown scheme", &format!("it may be {known}"));
    }
    if rest.contains('/') {
        let hint = "cloudflared asks for the path that the visitor asked for: leave it out here";
        return wrong("a service with a path", hint);
    }
    place(rest).map_err(|()| Wrong {
        what: "a service without a host, or with more than a host and a port".to_owned(),
        hint: Some(example.to_owned()),
    })
}

/// A host and perhaps a port.
fn place(text: &str) -> Result<(), ()> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let numbered = port.is_none_or(|port| port.parse().is_ok_and(|port: u16| port > 0));
    let known = host == "localhost" || syntax::host(host).is_ok();
    if known && numbered { Ok(()) } else { Err(()) }
}
