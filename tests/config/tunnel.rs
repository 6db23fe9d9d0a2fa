//! What may stand in `[[tunnel]]` and `[cloudflared]`.

use insta::assert_snapshot;
use oceanid::cluster::{EdgeIp, EdgeProtocol, Managed};

use crate::{least_with, refused, said, valid};

/// A tunnel to the only node, with `more`.
fn tunnel(more: &str) -> String {
    least_with(&format!(
        "[[tunnel]]\nhostname = \"www.example.com\"\nnode = \"one\"\ntoken = {{ env = \"T\" }}\n{more}"
    ))
}

fn service(text: &str) -> String {
    tunnel(&format!("service = \"{text}\"\n"))
}

#[test]
fn a_bad_tunnel_is_refused() {
    let second = "service = \"http://a:1\"\n[[node]]\nname = \"two\"\nrole = \"agent\"\naddress = \"192.0.2.2\"\n\
                  [[tunnel]]\nhostname = \"www.example.com\"\nnode = \"two\"\nservice = \"http://a:1\"\n\
                  token = { env = \"T\" }\n";
    let said = refused([
        ("no service", tunnel("")),
        ("service without scheme", service("127.0.0.1:8000")),
        ("service with path", service("http://127.0.0.1:8000/v2")),
        ("service with login", service("http://u:hunter2@127.0.0.1:8000")),
        ("service of another kind", service("ftp://127.0.0.1")),
        ("status", service("http_status:99")),
        ("socket", service("unix:run/app.sock")),
        (
            "nothing opens it",
            least_with(
                "[[tunnel]]\nhostname = \"a.example.com\"\nnode = \"one\"\nservice = \"http://a:1\"\n",
            ),
        ),
        ("two secrets", service("http://a:1") + "credentials = { file = \"/c\" }\n"),
        ("literal", service("http://a:1") + "credentials = \"{hunter2}\"\n"),
        ("account", service("http://a:1") + "account = \"0123\"\nid = \"x\"\nname = \" \"\n"),
        ("managed", service("http://a:1") + "managed = \"both\"\n"),
        ("two of one name", tunnel(second)),
        (
            "ingress",
            service("http://a:1")
                + "[[tunnel.ingress]]\nhostname = \"a.*.example.com\"\npath = \"\"\n\
                   [[tunnel.ingress]]\nhostname = \"www.example.com\"\nservice = \"http://b\"\n\
                   [[tunnel.ingress]]\nservice = \"https://b\"\npath = \"^/x\"\n\
                   origin = { http-host-header = \"a b\", connect-seconds = 0, caPool = \"x\" }\n",
        ),
        (
            "cloudflared",
            service("http://a:1")
                + "[cloudflared]\nprotocol = \"htpp2\"\nedge-ip-version = 4\nedge-seconds = 5\n\
                   metrics-port = 0\nwatchdog-seconds = 1\n",
        ),
    ]);
    assert_snapshot!(said);
}

#[test]
fn what_the_token_says_is_not_said_twice() {
    let remote = service("http://a:1") + "managed = \"remote\"\n";
    assert_snapshot!(said(&remote));
    assert_eq!(said(&service("http://a:1")), "");
}

#[test]
fn a_tunnel_is_read_with_its_defaults() {
    let cluster = valid(&service("http://127.0.0.1:80"));
    let tunnel = &cluster.tunnels[0];
    assert_eq!((tunnel.name.as_str(), tunnel.managed), ("lab-one", Managed::Local));
    assert_eq!(tunnel.rules.len(), 1);
    let program = &cluster.cloudflared;
    assert_eq!((program.protocol, program.edge_ip), (EdgeProtocol::Auto, EdgeIp::Auto));
    assert_eq!((program.edge.as_secs(), program.metrics_port), (120, 20241));
    let triton = least_with(
        "gpu = true\n[triton]\nimage = \"x:1\"\nmodels = \"/m\"\nhttp-port = 9000\n[[tunnel]]\n\
         hostname = \"gpu.example.com\"\nnode = \"one\"\ncredentials = { file = \"/c\" }\n",
    );
    let tunnel = valid(&triton).tunnels.remove(0);
    assert_eq!(tunnel.rules[0].service, "http://127.0.0.1:9000");
    assert!(tunnel.token.is_some(), "credentials open it as a token does");
}

#[test]
fn rules_with_a_path_are_tried_before_the_one_that_answers_all() {
    let text = service("http://a:1")
        + "[[tunnel.ingress]]\nhostname = \"*.example.com\"\nservice = \"http://c\"\n\
           [[tunnel.ingress]]\npath = \"^/v2/\"\nservice = \"http://b\"\n";
    let rules = valid(&text).tunnels.remove(0).rules;
    let order: Vec<_> = rules.iter().map(|rule| rule.service.as_str()).collect();
    assert_eq!(order, ["http://b", "http://a:1", "http://c"]);
    assert_eq!(rules[0].hostname, "www.example.com");
}
