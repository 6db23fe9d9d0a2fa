//! A node that is Ready by its JSON condition and a fresh heartbeat, at the wanted version and addresses.

use std::net::IpAddr;
use std::time::Duration;

use super::{LAST_WORDS, output, unit};
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::kube::{self, Census, FRESH, Identity, Wanted};
use crate::script::{Script, quote};

/// A node that is Ready by its own word since k3s was started, runs the wanted version and takes pods.
#[derive(Debug)]
pub struct NodeReady {
    node: String,
    wanted: Wanted,
    identity: Identity,
    unit: &'static str,
    limit: Duration,
}

impl NodeReady {
    /// Waits up to `limit` for `node`; `unit` is what a missed deadline is explained with.
    #[must_use]
    pub fn new(
        node: &str,
        wanted: Wanted,
        identity: Identity,
        unit: &'static str,
        limit: Duration,
    ) -> Self {
        Self { node: node.to_owned(), wanted, identity, unit, limit }
    }

    fn unready(&self, seen: &crate::remote::Output, since: Option<i64>) -> Option<String> {
        if seen.status != 0 {
            return Some(String::from("the API does not answer yet"));
        }
        match Census::read(&seen.stdout) {
            Ok(census) => census.unready(&self.node, &self.wanted, since),
            Err(error) => Some(format!("{error:#}")),
        }
    }

    /// What one node's JSON has in it at the wanted version and addresses, as patterns of `case`.
    fn marks(&self) -> String {
        let version = &self.wanted.version;
        let mut marks =
            vec![(format!("\"kubeletVersion\":\"{version}\""), format!("not yet at {version}"))];
        for (kind, address) in
            [("InternalIP", self.wanted.internal), ("ExternalIP", self.wanted.external)]
        {
            // An IPv6 address may be written in more than one way: the look that follows reads it.
            if let Some(address) = address.filter(IpAddr::is_ipv4) {
                marks.push((
                    format!("\"type\":\"{kind}\",\"address\":\"{address}\""),
                    format!("its {kind} is not yet {address}"),
                ));
            }
        }
        let test = |(mark, otherwise): &(String, String)| {
            format!(
                "case $answer in *{}*) ;; *) now={} ;; esac\n",
                quote(mark),
                quote(&format!("Ready, but {otherwise}"))
            )
        };
        marks.iter().map(test).collect()
    }

    /// Polls by the text of one node's JSON; the look that follows reads it properly.
    fn apply(&self) -> Script {
        let text = format!(
            r#"{LAST_WORDS}node={node} unit={unit}
state() {{ systemctl show --timestamp=utc -p "$1" --value -- "$unit"; }}
limit=$(( $(date +%s) + {limit} )) begun=$(date +%s) restarts=$(state NRestarts)
give_up() {{
  since=$(date -d "$(state InactiveExitTimestamp)" +%s) || since=$begun
  last_words "$unit" "$since" >&2
  printf 'node %s after %s s: %s; %s is %s, restarted %s times
' "$node" "$(( $(date +%s) - begun ))" "$now" "$unit" "$(state ActiveState)" "$(state NRestarts)" >&2
  exit 1
}}
# Its lease must have been renewed since k3s was started, and lately.
is_heard() {{
  heard=${{answer#*'"renewTime":"'}}
  [ "$heard" != "$answer" ] || return 1
  heard=${{heard%%'"'*}}
  for since in "$(state ExecMainStartTimestamp)" '-{FRESH} seconds'; do
    since=$(date -u -d "$since" +%Y-%m-%dT%H:%M:%S) || return 1
    printf '%s
%s
' "$since" "$heard" | sort -C || return 1
  done
}}
while :; do
  answer=$({ask} 2>&1) || :
  case $answer in
    *'"type":"Ready","status":"True"'*) now='Ready' ;;
    *'"type":"Ready"'*) now='joined, but not Ready' ;;
    *'"code":404'*) now='not in the cluster yet' ;;
    *) now="the API does not answer: ${{answer##*
}}" ;;
  esac
  if [ "$now" = Ready ]; then
    {marks}case $answer in *'"key":"node.kubernetes.io/not-ready"'*) now='Ready, but not yet open for pods' ;; esac
    is_heard || now='Ready is True, but from before its k3s was started'
    if [ "$now" = Ready ]; then exit 0; fi
  fi
  left=$(( limit - $(date +%s) ))
  if [ "$left" -le 0 ] || [ "$(( $(state NRestarts) - restarts ))" -ge 3 ]; then give_up; fi
  progress "waiting for node $node, $left s left: $now"
  sleep 0.5
done
"#,
            node = quote(&self.node),
            unit = self.unit,
            limit = self.limit.as_secs(),
            marks = self.marks(),
            ask = kube::get_one_with_lease(self.identity, &self.node),
        );
        Script::new(text).deadline(self.limit + Duration::from_secs(30))
    }
}

impl Action for NodeReady {
    fn subject(&self) -> String {
        format!("node {}", self.node)
    }

    fn probe(&self) -> Vec<Question> {
        vec![
            Question::Script(Census::ask(self.identity, &self.node)),
            Question::Unit(self.unit.to_owned()),
        ]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let Some(reason) = self.unready(output(seen, 0)?, unit(seen, 1)?.started) else {
            return Ok(None);
        };
        Ok(Some(Change {
            summary: format!("wait up to {} s until Ready ({reason})", self.limit.as_secs()),
            diff: None,
            apply: self.apply(),
            undo: Undo::Never,
        }))
    }
}
