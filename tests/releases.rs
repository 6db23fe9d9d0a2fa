//! `oceanid.lock`: what is written reads back the same, channels are resolved once, and what moved is shown.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use oceanid::releases::{Release, Releases};
use oceanid::secret;
use proptest::prelude::*;

const SUM: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn release() -> impl Strategy<Value = Release> {
    let sums = || prop::collection::btree_map("amd64|arm64|arm", "[0-9a-f]{64}", 0..4);
    ("v[0-9.]{1,9}(\\+k3s[0-9])?", prop::option::of("[a-z0-9.]{1,9}"), sums(), sums()).prop_map(
        |(version, channel, sha256, air_gap)| Release { version, channel, sha256, air_gap },
    )
}

proptest! {
    #[test]
    fn a_lock_reads_back_as_it_was_written(
        k3s in release(),
        cloudflared in prop::option::of(release()),
        images in prop::collection::btree_map("[a-z0-9./:\"\\\\ -]{1,30}", "sha256:[0-9a-f]{64}", 0..3),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("oceanid.lock");
        let lock = Releases { k3s, cloudflared, images, ..Releases::default() };
        lock.save(&path).expect("written");
        prop_assert_eq!(&Releases::load(&path).expect("read"), &lock);
        prop_assert_eq!(lock.moved(&lock), vec![]);
        let files: Vec<_> = fs::read_dir(folder.path()).expect("readable").collect();
        prop_assert_eq!(files.len(), 1, "something was left beside it");
    }
}

/// A server of the files that a test puts there; `-> ` leads somewhere else.
#[derive(Clone, Default)]
struct Served {
    files: Arc<Mutex<BTreeMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Served {
    fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let served = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a client");
                let mut request = [0; 4096];
                let count = stream.read(&mut request).expect("a request");
                let request = String::from_utf8_lossy(&request[..count]).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default().replace("%2B", "+");
                let answer = served.answer(&path);
                stream.write_all(answer.as_bytes()).expect("a client");
            }
        });
        format!("http://{address}")
    }

    fn answer(&self, path: &str) -> String {
        self.asked.lock().expect("sound").push(path.to_owned());
        match self.files.lock().expect("sound").get(path) {
            None => String::from("HTTP/1.0 404 No\r\nContent-Length: 0\r\n\r\n"),
            Some(text) => match text.strip_prefix("-> ") {
                Some(to) => {
                    format!("HTTP/1.0 302 There\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
                }
                None => format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()),
            },
        }
    }

    fn put(&self, path: &str, text: &str) {
        self.files.lock().expect("sound").insert(path.to_owned(), text.to_owned());
    }

    fn release(&self, channel: &str, version: &str) {
        let page = version.replace('+', "%2B");
        self.put(
            &format!("/channels/{channel}"),
            &format!("-> https://nowhere.invalid/tag/{page}"),
        );
        for (arch, file) in [("amd64", "k3s"), ("arm64", "k3s-arm64")] {
            let archive = format!("k3s-airgap-images-{arch}.tar.zst");
            let sum = secret::sha256(version.as_bytes());
            let list = format!("{SUM}  {archive}\n{sum}  {file}\n");
            self.put(&format!("/k3s/{version}/sha256sum-{arch}.txt"), &list);
        }
    }
}

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new(url: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!(
            "[cluster]\nname = \"lab\"\n[k3s]\nversion = \"stable\"\n[[node]]\nname = \"one\"\n\
             role = \"server\"\naddress = \"192.0.2.1\"\ngpu = true\n[sources]\nk3s = \"{url}/k3s\"\n\
             channels = \"{url}/channels\"\n{more}"
        );
        fs::write(folder.path().join("cluster.toml"), text).expect("written");
        Self { folder }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_oceanid"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env_remove("XDG_CACHE_HOME")
            .output()
            .expect("it starts")
    }

    #[track_caller]
    fn said(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn lock(&self) -> Releases {
        Releases::load(&self.folder.path().join("oceanid.lock")).expect("readable")
    }
}

#[test]
fn a_channel_is_locked_and_moves_only_when_it_is_asked_again() {
    let served = Served::default();
    let desk = Desk::new(&served.start(), "");
    served.release("stable", "v1.36.3+k3s1");
    let first = desk.said(&["lock"]);
    assert!(first.contains("k3s: v1.36.3+k3s1 (new)\n"), "{first}");
    let lock = desk.lock();
    assert_eq!(lock.k3s.channel.as_deref(), Some("stable"));
    assert_eq!(lock.k3s.sha256.keys().collect::<Vec<_>>(), ["amd64", "arm64"]);
    assert_eq!(lock.k3s.air_gap["amd64"], SUM);
    assert_eq!(desk.said(&["lock"]), "nothing moved: k3s v1.36.3+k3s1\n");

    served.release("stable", "v1.37.1+k3s1");
    assert_eq!(desk.lock(), lock, "it does not float");
    let moved = desk.said(&["lock", "--json"]);
    let moved: serde_json::Value =
        serde_json::from_str(moved.lines().find(|line| line.contains("\"lock\"")).unwrap())
            .unwrap();
    let k3s = &moved["moved"][0];
    assert_eq!(
        (k3s["old"].as_str(), k3s["new"].as_str()),
        (Some("v1.36.3+k3s1"), Some("v1.37.1+k3s1"))
    );
    assert_eq!(desk.lock().k3s.version, "v1.37.1+k3s1");
    let asked = served.asked.lock().expect("sound").clone();
    assert!(asked.iter().all(|path| path.starts_with("/k3s/") || path == "/channels/stable"));
}

#[test]
fn a_channel_that_leads_nowhere_is_said_and_nothing_is_written() {
    let served = Served::default();
    let desk = Desk::new(&served.start(), "");
    for (answer, says) in [
        ("<html>Log in</html>", "it answers 200 OK and no redirection"),
        ("-> https://proxy.invalid/login", "it redirects to `https://proxy.invalid/login`"),
    ] {
        served.put("/channels/stable", answer);
        let output = desk.run(&["lock"]);
        let stderr = String::from_utf8_lossy(&output.stderr)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(says) && stderr.contains("sources.channels"), "{stderr}");
        assert!(!desk.folder.path().join("oceanid.lock").exists());
    }
}

#[test]
fn a_hash_that_changes_under_its_version_is_warned_of() {
    let served = Served::default();
    let desk = Desk::new(&served.start(), "");
    served.release("stable", "v1.36.3+k3s1");
    desk.said(&["lock"]);
    served.put("/k3s/v1.36.3+k3s1/sha256sum-amd64.txt", &format!("{SUM}  k3s\n"));
    let output = desk.run(&["lock"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("the same version has another sha256"), "{stderr}");
}

#[test]
fn what_stands_beside_k3s_is_locked_too_and_an_image_by_digest_needs_nobody() {
    let served = Served::default();
    let url = served.start();
    let pinned = format!("nowhere.invalid/triton@sha256:{SUM}");
    let desk = Desk::new(
        &url,
        &format!(
            "cloudflared = \"{url}/cloudflared\"\n[[tunnel]]\nhostname = \"a.example.com\"\nnode = \"one\"\ntoken = {{ env = \"T\" }}\n\
             [triton]\nmodels = \"/models\"\nimage = \"{pinned}\"\n"
        ),
    );
    served.release("stable", "v1.36.3+k3s1");
    served.put("/cloudflared/2026.8.2/cloudflared-linux-amd64", "the program");
    let old = Release {
        version: String::from("2026.7.0"),
        sha256: [(String::from("amd64"), SUM.to_owned())].into(),
        ..Release::default()
    };
    let lock = Releases { cloudflared: Some(old), ..Releases::default() };
    lock.save(&desk.folder.path().join("oceanid.lock")).expect("written");
    let said = desk.said(&["lock"]);
    assert!(said.contains("cloudflared: 2026.7.0 -> 2026.8.2\n"), "{said}");
    let cloudflared = desk.lock().cloudflared.expect("locked");
    assert_eq!(cloudflared.sha256["amd64"], secret::sha256(b"the program"));
    assert!(desk.lock().images.is_empty());
    let kept = desk.folder.path().join(".cache/oceanid").join(&cloudflared.sha256["amd64"]);
    assert_eq!(fs::read_to_string(kept).expect("kept"), "the program");
}
