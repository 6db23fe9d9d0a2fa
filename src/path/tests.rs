//! What this machine's own network says, which a test cannot bring about everywhere.

use super::answer::Answer;
use super::causes::{Caller, Case, find};
use super::*;
use crate::config;

const CLUSTER: &str = r#"
[cluster]
name = "ocean"
[k3s]
version = "v1.36.3+k3s1"
[[node]]
name = "tethys"
role = "server"
address = "192.0.2.1"
[[tunnel]]
hostname = "gpu.example.com"
node = "tethys"
"#;

#[test]
fn what_this_machine_lacks_is_told_from_what_cloudflare_lacks() {
    let cluster = config::parse("cluster.toml", CLUSTER).expect("it is valid").cluster;
    let way = Way::all(&cluster).next().expect("a tunnel");
    let text = |text: &str| text.to_owned();
    for (answer, name, cause) in [
        (
            Answer::NoName(text("Name or service not known")),
            "no-record",
            "there is no DNS record for `gpu.example.com`",
        ),
        (
            Answer::NoName(text("Temporary failure in name resolution")),
            "no-resolver",
            "the DNS of this machine does not answer",
        ),
        (
            Answer::Silent(text("no answer in time")),
            "out-of-reach",
            "`gpu.example.com` does not answer here",
        ),
        (
            Answer::Closed(text("Connection refused")),
            "out-of-reach",
            "`gpu.example.com` does not answer here",
        ),
        (
            Answer::Broken(text("it closed the connection")),
            "unexpected-answer",
            "`gpu.example.com` answers, and not as the service does",
        ),
    ] {
        let found = find(&Case::new(way, Caller::Here, &answer));
        assert_eq!((found.name, found.cause.as_str()), (name, cause));
        assert_eq!(found.evidence, [format!("https://gpu.example.com/: {}", answer.said())]);
        assert!(found.command.contains('`'), "{}", found.command);
    }
}
