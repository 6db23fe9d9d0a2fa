//! Cloudflare's API as the lab has it, and an operator who works with it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The API token; nobody may ever see it.
pub const TOKEN: &str = "canary-api-token-c0ffee";
pub const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
pub const OTHER: &str = "fedcba9876543210fedcba9876543210";
pub const ALL: [&str; 6] =
    ["zone:read", "dns:edit", "tunnel:edit", "access:edit", "service-tokens:edit", "waf:edit"];

const NODES: &str = r#"[cluster]
name = "ocean"
domain = "example.com"
[ssh]
connect-seconds = 1
[k3s]
version = "v1.36.3+k3s1"
flannel-backend = "vxlan"
[[node]]
name = "tethys"
role = "server"
address = "127.0.0.1"
port = 1
[[node]]
name = "calypso"
role = "agent"
address = "127.0.0.1"
port = 1
gpu = true
[[tunnel]]
hostname = "gpu.example.com"
node = "calypso"
"#;

/// A server, what it keeps, and a folder with a cluster.toml that leads to it.
pub struct Cloud {
    pub folder: TempDir,
    address: String,
    server: Child,
}

/// What a command came to.
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Drop for Cloud {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

/// What there is before oceanid comes.
pub fn account() -> Value {
    json!({
        "per_page": 50,
        "accounts": [{ "id": ACCOUNT }, { "id": OTHER }],
        "zones": [{
            "id": "zone1", "name": "example.com", "status": "active", "paused": false,
            "account": { "id": ACCOUNT, "name": "Ocean" }, "plan": { "legacy_id": "free" },
        }],
        "tokens": [{
            "value": TOKEN, "id": "token1", "kind": "user", "account": ACCOUNT,
            "status": "active", "permissions": ALL,
        }],
    })
}

impl Cloud {
    /// One with the usual account and settings.
    pub fn new() -> Self {
        Self::of(&account())
    }

    /// One that begins with `state`.
    pub fn of(state: &Value) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.json");
        fs::write(&path, state.to_string()).expect("written");
        let mut server = Command::new(lab::build_sim().expect("the stand-in is built"))
            .arg("cloudflare-api")
            .args([&path, &folder.path().join("api.log")])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let stdout = server.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("its address");
        let address = line.trim().trim_start_matches("http://").to_owned();
        let address = address.trim_end_matches("/client/v4").to_owned();
        let cloud = Self { folder, address, server };
        cloud.write_toml("waf = true\nrate-limit = { requests = 100 }\n");
        cloud
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the service token's secret goes.
    pub fn secret_file(&self) -> PathBuf {
        self.path("secrets/service-token")
    }

    /// Writes cluster.toml with `lines` in `[cloudflare]`, and the secret in a file.
    pub fn write_toml(&self, lines: &str) {
        let store = format!("{{ file = \"{}\" }}", self.secret_file().display());
        self.write_toml_whole(NODES, &format!("{lines}access = {{ store = {store} }}\n"));
    }

    pub fn write_toml_storing(&self, store: &str) {
        self.write_toml_whole(NODES, &format!("access = {{ store = {store} }}\n"));
    }

    pub fn write_toml_with_tunnels(&self, tunnels: &str, lines: &str) {
        let store = format!("{{ file = \"{}\" }}", self.secret_file().display());
        let lines = format!("{lines}access = {{ store = {store} }}\n");
        self.write_toml_whole(&format!("{NODES}{tunnels}"), &lines);
    }

    fn write_toml_whole(&self, before: &str, lines: &str) {
        let text = format!(
            "{before}[sources]\ncloudflare-api = \"http://{}/client/v4\"\n\
             [cloudflare]\ntoken = {{ env = \"CF_TOKEN\" }}\n{lines}",
            self.address
        );
        fs::write(self.path("cluster.toml"), text).expect("written");
    }

    /// Replaces text in cluster.toml.
    pub fn replace(&self, old: &str, new: &str) {
        let text = fs::read_to_string(self.path("cluster.toml")).expect("it is there");
        assert!(text.contains(old), "{old} is not in\n{text}");
        fs::write(self.path("cluster.toml"), text.replace(old, new)).expect("written");
    }

    /// Runs oceanid, and looks for canaries in what it says.
    pub fn oceanid(&self, arguments: &[&str]) -> Said {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_oceanid"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("CF_TOKEN", TOKEN)
            .env("NO_COLOR", "1")
            .env("OCEANID_LOG", "trace")
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null())
            .output()
            .expect("oceanid starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        let said = Said {
            code: status.code().expect("no signal"),
            stdout: text(stdout),
            stderr: without_log(&text(stderr)),
        };
        self.keeps_secrets(&said);
        said
    }

    /// No secret is anywhere but in the file that was made for it.
    fn keeps_secrets(&self, said: &Said) {
        let log = fs::read_to_string(self.path("api.log")).unwrap_or_default();
        let mut secrets = vec![TOKEN.to_owned()];
        for token in self.list("service_tokens") {
            secrets.extend(token["client_secret"].as_str().map(str::to_owned));
        }
        for tunnel in self.list("tunnels") {
            secrets.extend(tunnel["secret"].as_str().map(str::to_owned));
        }
        for secret in secrets {
            for (place, text) in
                [("stdout", &said.stdout), ("stderr", &said.stderr), ("the API's log", &log)]
            {
                assert!(!text.contains(&secret), "{secret} is in {place}:\n{text}");
            }
        }
    }

    pub fn apply(&self) -> Said {
        self.oceanid(&["bootstrap", "--only", "cloudflare", "--yes"])
    }

    /// What there is now.
    pub fn state(&self) -> Value {
        let text = fs::read_to_string(self.path("state.json")).expect("it is there");
        serde_json::from_str(&text).expect("JSON")
    }

    pub fn list(&self, name: &str) -> Vec<Value> {
        self.state()[name].as_array().cloned().unwrap_or_default()
    }

    /// The one thing in a list.
    pub fn only(&self, name: &str) -> Value {
        let list = self.list(name);
        assert_eq!(list.len(), 1, "{name}: {list:#?}");
        list.into_iter().next().expect("counted")
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("api.log")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// The requests so far that may change something.
    pub fn writes(&self) -> Vec<String> {
        let changes = self.requests().into_iter().filter(|request| request["method"] != "GET");
        let named = |request: Value| {
            let path = request["path"].as_str().unwrap_or_default().to_owned();
            let path = path.replace(ACCOUNT, "ACCOUNT");
            format!("{} {path}", request["method"].as_str().unwrap_or_default())
        };
        changes.map(named).collect()
    }

    /// Changes something behind oceanid's back.
    pub fn set(&self, list: &str, id: &Value, fields: &Value) {
        self.lab("PATCH", &format!("{list}/{}", id.as_str().expect("an id")), fields);
    }

    /// Adds something that is not oceanid's.
    pub fn add(&self, list: &str, thing: &Value) {
        self.lab("POST", list, thing);
    }

    /// Lets requests fail.
    pub fn fail(&self, faults: &Value) {
        self.lab("POST", "faults", faults);
    }

    pub fn lab(&self, method: &str, path: &str, body: &Value) {
        let body = body.to_string();
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        write!(
            stream,
            "{method} /_lab/{path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{method} {path}: {answer}");
    }

    /// What is said, without ids and places that differ each time.
    pub fn neutral(&self, text: &str) -> String {
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        names.insert(self.folder.path().display().to_string(), String::from("FOLDER"));
        names.insert(self.address.clone(), String::from("API"));
        names.insert(ACCOUNT.to_owned(), String::from("ACCOUNT"));
        names.insert(OTHER.to_owned(), String::from("OTHER"));
        for list in
            ["tunnels", "dns", "access_apps", "access_policies", "service_tokens", "rulesets"]
        {
            for (index, one) in self.list(list).iter().enumerate() {
                let id = one["id"].as_str().unwrap_or_default().to_owned();
                names.insert(id, format!("{}-{index}", list.to_uppercase()));
            }
        }
        names.into_iter().fold(text.to_owned(), |text, (long, short)| text.replace(&long, &short))
    }
}

/// Without the developer's log, which was asked for to look for secrets in it.
fn without_log(text: &str) -> String {
    assert!(!text.contains(TOKEN), "the token is in the log:\n{text}");
    let is_log = |line: &&str| {
        let mut words = line.split_whitespace();
        words.next().is_some_and(|time| time.contains('T') && time.ends_with('Z'))
    };
    text.lines().filter(|line| !is_log(line)).fold(String::new(), |all, line| all + line + "\n")
}

impl Said {
    /// Asserts the exit status.
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}
