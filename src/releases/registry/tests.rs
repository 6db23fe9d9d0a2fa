use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::{Image, digest};
use crate::releases::downloads::Downloads;

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A registry that shows `nvidia/triton:1` to whoever has its token, and the token to anybody.
fn registry() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client");
            let mut request = [0; 4096];
            let count = stream.read(&mut request).expect("a request");
            let request = String::from_utf8_lossy(&request[..count]).to_lowercase();
            let answer = if request.starts_with("get /token?service=here&scope=pull") {
                "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"token\":\"ok\"}".to_owned()
            } else if !request.starts_with("head /v2/nvidia/triton/manifests/1 ") {
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned()
            } else if request.contains("authorization: bearer ok") {
                format!("HTTP/1.1 200 OK\r\nDocker-Content-Digest: {DIGEST}\r\n\r\n")
            } else {
                format!(
                    "HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer realm=\"http://{address}/token\",\
                     service=\"here\",scope=\"pull\"\r\nContent-Length: 0\r\n\r\n"
                )
            };
            let answer = answer.replacen("\r\n", "\r\nConnection: close\r\n", 1);
            stream.write_all(answer.as_bytes()).expect("a client");
        }
    });
    address.to_string()
}

#[tokio::test]
async fn a_tag_is_resolved_by_nobody_in_particular() {
    let downloads = Downloads::new(&crate::cluster::Sources::default());
    let registry = registry();
    let found = digest(&downloads, &format!("{registry}/nvidia/triton:1")).await.expect("there");
    assert_eq!(found.as_deref(), Some(DIGEST));
    let error = digest(&downloads, &format!("{registry}/nvidia/other:1")).await.expect_err("404");
    assert!(format!("{error:#}").ends_with("it answers 404 Not Found"), "{error:#}");
    let pinned = digest(&downloads, &format!("nowhere.invalid/x@{DIGEST}")).await;
    assert_eq!(pinned.expect("no request"), None);
}

#[test]
fn names_are_taken_apart_as_docker_does() {
    let read = |text| {
        let Image { registry, repository, tag } = Image::read(text);
        format!("{registry} {repository} {tag}")
    };
    assert_eq!(
        read("nvcr.io/nvidia/tritonserver:26.02-py3"),
        "nvcr.io nvidia/tritonserver 26.02-py3"
    );
    assert_eq!(read("localhost:5000/x"), "localhost:5000 x latest");
    assert_eq!(read("redis:7"), "registry-1.docker.io library/redis 7");
    assert_eq!(read("grafana/loki"), "registry-1.docker.io grafana/loki latest");
}
