//! What may stand in `[sources]`, as `k3s.version` and as `cloudflared.version`.

use std::fs;

use insta::assert_snapshot;

use crate::{least_with, refused, replaced, said, valid};

fn sources(line: &str) -> String {
    least_with(&format!("[sources]\n{line}\n"))
}

#[test]
fn bad_sources_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        sources(&format!("ca = \"{}\"", path.display()))
    };
    let said = refused([
        ("no address", sources("channels = \"stable\"")),
        ("login of a mirror", sources("k3s = \"https://me:hunter2@mirror.example.com\"")),
        ("password of a proxy", sources("proxy = \"http://me:hunter2@proxy.example.com:3128\"")),
        ("user of a proxy", sources("proxy = \"http://me@proxy.example.com:3128\"")),
        ("proxy without a scheme", sources("proxy = \"proxy.example.com:3128\"")),
        ("kind of proxy", sources("proxy = \"socks5://proxy.example.com\"")),
        ("path of a proxy", sources("proxy = \"http://proxy.example.com/path\"")),
        (
            "around the proxy",
            sources("proxy = \"http://p\"\nno-proxy = [\"*.example.com\", \"10.0.0/8\"]"),
        ),
        ("address around", sources("proxy = \"http://p\"\nno-proxy = [\"10.0.0\"]")),
        ("relative path", sources("ca = \"ca.pem\"")),
        ("no file", sources("ca = \"/nonexistent/ca.pem\"")),
        ("no certificate", file("text", "hello\n")),
        ("broken", file("cut", "-----BEGIN CERTIFICATE-----\nAAAA\n")),
        ("key", file("key", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n")),
    ]);
    let said = said.replace(&folder.path().display().to_string(), "FOLDER");
    // How long a line of carets is depends on where temporary files are.
    let mut before = "";
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| {
            let last = std::mem::replace(&mut before, line);
            !(line.ends_with('^') && last.contains("FOLDER"))
        })
        .collect();
    assert_snapshot!(lines.join("\n"));
}

#[test]
fn bad_versions_are_refused() {
    let version = |text: &str| replaced("v1.36.3+k3s1", text);
    let tunnel = "[[tunnel]]\nhostname = \"a.example.com\"\nnode = \"one\"\n\
                  service = \"http://a\"\ntoken = { env = \"T\" }\n";
    assert_snapshot!(refused([
        ("channel", version("stabel")),
        ("minor", version("1.36")),
        ("no k3s", version("v1.36.3")),
        ("container tag", version("v1.36.3-k3s1")),
        ("something else", version("newest of all")),
        ("cloudflared", least_with("[cloudflared]\nversion = \"latest\"\n")),
    ]));
    for fits in ["stable", "latest", "testing", "v1.36", "v1.36.3-rc1+k3s1"] {
        valid(&version(fits));
    }
    let cluster = valid(&least_with(tunnel));
    assert_eq!(cluster.tunnel("one").expect("it is there").hostname, "a.example.com");
    assert_eq!(cluster.cloudflared.version, "2026.8.2");
}

#[test]
fn sources_are_taken_as_written() {
    let text = sources(
        "proxy = \"http://proxy.example.com:3128/\"\n\
         no-proxy = [\"mirror.example.com\", \".lan\", \"10.0.0.0/8\", \"2001:db8::1\"]",
    );
    assert_eq!(said(&text), "");
    let sources = valid(&text).sources;
    assert_eq!(sources.proxy.as_deref(), Some("http://proxy.example.com:3128"));
    assert_eq!(sources.no_proxy, ["mirror.example.com", ".lan", "10.0.0.0/8", "2001:db8::1"]);
}
