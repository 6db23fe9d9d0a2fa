//! What may stand in `[cloudflare]`.

use std::path::PathBuf;

use insta::assert_snapshot;
use oceanid::cluster::Store;

use crate::{least_with, refused, replaced, said, valid};

const TOKEN: &str = "token = { env = \"CF\" }\n";
const TUNNEL: &str = "[[tunnel]]\nhostname = \"gpu.example.com\"\nnode = \"one\"\n\
                      service = \"http://127.0.0.1:8000\"\n";

/// A tunnel, and these lines in `[cloudflare]` of a cluster with a domain.
fn with(lines: &str) -> String {
    let domain = "name = \"lab\"\ndomain = \"example.com\"\n";
    replaced("name = \"lab\"\n", domain) + TUNNEL + "[cloudflare]\n" + lines
}

fn token(lines: &str) -> String {
    with(&format!("{TOKEN}{lines}"))
}

#[test]
fn a_bad_section_is_refused() {
    let said = refused([
        ("no token", with("")),
        ("a token in the file", with("token = \"hunter2\"\n")),
        ("no zone", least_with(&format!("{TUNNEL}[cloudflare]\n{TOKEN}"))),
        ("another zone", token("zone = \"example.net\"\n")),
        ("no account", token("account = \"Ocean\"\n")),
        ("a name of a token", token("access = { service-token = \"My token\" }\n")),
        ("a short duration", token("access = { duration = \"1h\" }\n")),
        ("days", token("access = { duration = \"365d\" }\n")),
        ("two places", token("access = { store = { file = \"/s\", command = [\"op\"] } }\n")),
        ("a relative place", token("access = { store = { file = \"secret\" } }\n")),
        ("a place as text", token("access = { store = \"/s\" }\n")),
        ("no countries", token("waf = true\nblock-countries = [\"China\"]\n")),
        ("no requests", token("rate-limit = {}\n")),
        (
            "a limit that is none",
            token("rate-limit = { requests = 0, period = 30, timeout = 5, path = \"v2\\\"\" }\n"),
        ),
        (
            "an API without encryption",
            token("[sources]\ncloudflare-api = \"http://api.example.com/client/v4\"\n"),
        ),
        (
            "an API with a login",
            token("[sources]\ncloudflare-api = \"https://me:hunter2@api.example.com\"\n"),
        ),
    ]);
    assert_snapshot!(said);
}

#[test]
fn what_may_not_be_meant_is_warned_of() {
    let deep = token("block-countries = [\"KP\"]\n").replace("gpu.example", "a.gpu.example");
    let idle = token("").replace(TUNNEL, "");
    assert_snapshot!(format!("{}\n\n{}", said(&deep), said(&idle)));
}

#[test]
fn defaults_are_filled_in() {
    let cluster = valid(&token("waf = true\nrate-limit = { requests = 100 }\n"));
    let settings = cluster.cloudflare.expect("it is there");
    assert_eq!(settings.zone, "example.com");
    assert_eq!(settings.account, None);
    let gate = settings.gate.expect("on by default");
    assert_eq!((gate.service_token.as_str(), gate.duration.as_str()), ("calls", "8760h"));
    let home = std::env::home_dir().expect("a home");
    let place: PathBuf = home.join(".config/oceanid/lab.service-token");
    assert_eq!(gate.store, Store::File(place));
    let limit = settings.rate_limit.expect("it is there");
    assert_eq!((limit.period, limit.timeout, limit.path.as_str()), (10, 10, "/v2/"));
    assert!(cluster.sources.cloudflare_api.starts_with("https://api.cloudflare.com/"));
    let gpu = |lines: &str| token(lines).replace("[[tunnel]]", "gpu = true\n[[tunnel]]");
    let access = |text: &str| valid(text).tunnels.remove(0).access;
    let brought = access(&gpu(""));
    assert!(brought.brought().is_some() && brought.token().is_none(), "it comes later");
    let own =
        "[[tunnel]]\naccess = { client-id = { env = \"A\" }, client-secret = { env = \"B\" } }\n";
    let own = access(&gpu("").replace("[[tunnel]]\n", own));
    assert!(own.brought().is_none() && own.token().is_some(), "what is written goes first");
    assert!(access(&token("")).brought().is_none(), "a node without a GPU is not guarded");
    let off = valid(&token("access = { enabled = false }\n")).cloudflare.expect("it is there");
    assert_eq!((off.gate, off.shield), (None, None));
    let local = token("[sources]\ncloudflare-api = \"http://127.0.0.1:8080/client/v4/\"\n");
    assert_eq!(valid(&local).sources.cloudflare_api, "http://127.0.0.1:8080/client/v4");
}
