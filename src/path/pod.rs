//! The same call from within a pod, as what uses the service makes it.

use std::time::Duration;

use super::answer::Answer;
use super::causes::Caller;
use super::public::HEADERS;
use super::{Seen, Verdict, Way, blocks, verdicts};
use crate::firewall::{as_pods_resolve, pods_dns};
use crate::remote::Remote;
use crate::script::{Body, Script, quote};
use crate::secret;

/// Calls from pods, three at most: one of them may be on its way out. What is called, and with
/// which credentials, is read from stdin and never leaves the shell but for curl's stdin.
const CALL: &str = r#"set -eu
called=$(cat) tried=0
for net in /run/netns/cni-*; do
  if [ ! -e "$net" ]; then break; fi
  tried=$(( tried + 1 ))
  if [ "$tried" -gt 3 ]; then break; fi
  said=$(printf '%s\n' "$called" | nsenter --net="$net" unshare --mount sh -ec "$inside" 2>&1) && exit=0 || exit=$?
  printf 'answer pod %s\n' "$exit"
  printf '%s\n' "$said" | sed 's/^/| /'
  if [ "$exit" = 0 ]; then break; fi
done
"#;

/// The script that calls from a pod.
#[must_use]
pub fn ask(way: Way<'_>) -> Script {
    let resolve = pods_dns(way.cluster).map(|address| as_pods_resolve(&address));
    let inside = format!("{}exec curl --config -", resolve.unwrap_or_default());
    let called = format!(
        "url = \"https://{}{}\"\nsilent\nshow-error\ngloboff\nmax-time = 15\nnoproxy = \"*\"\n\
         write-out = \"\\n%{{http_code}} %{{redirect_url}}\"\n",
        way.hostname(),
        way.asked(),
    );
    let body = match way.tunnel.access.token() {
        None => Body::Text(called),
        Some(token) => {
            let halves = HEADERS.iter().zip([&token.client_id, &token.client_secret]);
            let known = halves.filter_map(|(name, half)| Some((*name, half.known()?)));
            let headers: Vec<_> = known.collect();
            Body::Secret(secret::curl_config(&called, &headers))
        }
    };
    let text = format!("inside={}\n{CALL}", quote(&inside));
    Script::new(text).stdin(body).deadline(Duration::from_secs(90))
}

/// Calls from a pod on the first of `hosts` that has one.
pub async fn call<R: Remote>(way: Way<'_>, seen: &Seen, hosts: &[(&str, &R)]) -> Verdict {
    let script = ask(way);
    for (host, remote) in hosts {
        let output = match remote.run(&script, &|_: &str| ()).await {
            Ok(output) => output,
            Err(error) => return Verdict::Unknown(format!("{host}: {error}")),
        };
        let mut answers = blocks::read(&output.stdout).into_iter().filter_map(|block| {
            let exit = block.head.strip_prefix(["answer", "pod"].as_slice())?.first()?;
            Some(Answer::of_curl(exit.parse().ok()?, &block.lines))
        });
        if let Some(answer) = answers.next_back() {
            return verdicts::called(way, seen, Caller::Pod(host), &answer);
        }
        if output.status != 0 {
            let last = output.stderr.lines().last().unwrap_or("it does not say why").to_owned();
            return Verdict::Unknown(format!("{host}: {last}"));
        }
    }
    Verdict::Unknown(String::from("no pod runs on the hosts that were asked"))
}
