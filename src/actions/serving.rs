//! Triton, serving every model that it should, on a GPU that it sees, and not starting over and over.

use std::time::Duration;

use super::{LAST_WORDS, output};
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::cluster::{ModelControl, Triton};
use crate::script::{Script, quote};

/// How long Triton must stay up before it counts as serving, seconds.
const STEADY: u32 = 30;

/// One process of curl asks everything. The metrics name a GPU only where Triton itself sees one.
///
/// `look` sets `lacks` to what is missing, or to nothing, and `waits` to whether time may bring it.
const LOOK: &str = r#"look() {
  lacks='' waits=yes
  state=$(systemctl show -p ActiveState --value -- "$unit")
  if [ "$state" != active ]; then lacks="$unit is $state"; return; fi
  cd -- "$models" || { lacks="there is no folder $models"; return; }
  set --
  for folder in $folders; do
    model=${folder%/}
    if [ "$model" != '*' ]; then set -- "$@" -o /dev/null "$http/v2/models/$model/ready"; fi
  done
  said=$(curl -s --max-time 20 -w '%{http_code} %{url_effective}\n' -o /dev/null "$http/v2/health/ready" "$@" "$metrics") || :
  case $said in
    *"200 $metrics"*) ;;
    *) lacks='it does not answer'; return ;;
  esac
  away=
  for line in "$@"; do
    case $line in
      http*) case $said in *"200 $line"*) ;; *) line=${line%/ready}; away="$away ${line##*/}" ;; esac ;;
    esac
  done
  case $said in *"200 $http/v2/health/ready"*) ready=yes ;; *) ready=no ;; esac
  if [ -n "$away" ]; then
    lacks="not ready:$away"
    if [ "$ready:$late" = yes:no ]; then
      waits=no
      lacks="$lacks (not there when Triton started; it loads models at its start alone: systemctl restart $unit)"
    fi
  elif [ "$ready" = no ]; then lacks='it is not ready'
  else
    case $said in *nv_gpu_*) ;; *) waits=no lacks='Triton sees no GPU in its container' ;; esac
  fi
}
up() {
  since=$(systemctl show -p ActiveEnterTimestamp --value -- "$unit")
  printf %s $(( $(date +%s) - $(date -d "$since" +%s) ))
}
"#;

/// Triton, with every model ready.
#[derive(Debug, Clone)]
pub struct Serving {
    settings: String,
    limit: Duration,
}

impl Serving {
    /// Requires that `unit` serves what `triton` says; `folders` are those of the models, for the shell.
    #[must_use]
    pub fn new(unit: &str, triton: &Triton, folders: &str) -> Self {
        let late = if triton.control == ModelControl::None { "no" } else { "yes" };
        let settings = format!(
            "unit={unit} models={models} late={late} folders={folders}\n\
             http=http://127.0.0.1:{http} metrics=http://127.0.0.1:{metrics}/metrics\n",
            models = quote(&triton.models),
            folders = quote(folders),
            http = triton.ports.http,
            metrics = triton.ports.metrics,
        );
        Self { settings, limit: triton.ready }
    }

    /// Succeeds while the Triton of the present unit file says that it is ready: also one with another port.
    #[must_use]
    pub fn is_up(unit: &str) -> String {
        format!(
            "port=$(sed -n 's/.*127[.]0[.]0[.]1:\\([0-9]*\\):8000.*/\\1/p' /etc/systemd/system/{unit})\n\
             state=$(systemctl show -p ActiveState --value -- {unit})\n\
             if [ \"$state\" != active ]; then printf '%s is %s\\n' {unit} \"$state\"; exit 1; fi\n\
             curl -fsS --max-time 10 -o /dev/null \"http://127.0.0.1:$port/v2/health/ready\" 2>&1\n"
        )
    }

    fn apply(&self) -> Script {
        let text = format!(
            r#"{settings}{LOOK}{LAST_WORDS}state() {{ systemctl show -p "$1" --value -- "$unit"; }}
begun=$(date -d "$(state ActiveEnterTimestamp)" +%s 2>/dev/null) || begun=$(date +%s)
give_up() {{
  last_words "$unit" "$begun" >&2
  printf '%s: %s\n' "$1" "$lacks" >&2
  exit 1
}}
began=$(date +%s)
first=$(state NRestarts)
limit=$(( began + {limit} ))
while :; do
  look
  again=$(( $(state NRestarts) - first ))
  if [ "$(state ActiveState)" = failed ] || [ "$again" -ge 2 ]; then
    give_up "Triton does not stay up, it was started $(( again + 1 )) times"
  fi
  if [ -z "$lacks" ]; then
    steady=$(up)
    if [ "$steady" -ge {STEADY} ]; then exit 0; fi
    lacks="it serves since $steady s, and must for {STEADY}"
  elif [ "$waits" = no ]; then give_up 'it does not serve'
  fi
  left=$(( limit - $(date +%s) ))
  if [ "$left" -le 0 ]; then give_up 'not within {limit} s (`triton.ready-seconds`)'; fi
  progress "waiting for Triton, $left s left: $lacks; $(journalctl -q -u "$unit" -n 1 --no-pager -o cat --since "@$begun")"
  sleep 0.5
done
"#,
            settings = self.settings,
            limit = self.limit.as_secs() + u64::from(STEADY),
        );
        Script::new(text).deadline(self.limit + Duration::from_secs(90))
    }
}

impl Action for Serving {
    fn subject(&self) -> String {
        String::from("Triton")
    }

    fn probe(&self) -> Vec<Question> {
        vec![Question::Script(format!(
            "{settings}{LOOK}look\nif [ -n \"$lacks\" ]; then printf '%s\\n' \"$lacks\"; exit 1; fi\n\
             if [ \"$(up)\" -lt {STEADY} ]; then printf 'it was started less than {STEADY} s ago\\n'; exit 1; fi\n",
            settings = self.settings,
        ))]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let seen = output(seen, 0)?;
        if seen.status == 0 {
            return Ok(None);
        }
        let now = seen.stdout.lines().last().unwrap_or("not yet").trim();
        Ok(Some(Change {
            summary: format!(
                "wait up to {} s until every model is ready (now: {now})",
                self.limit.as_secs()
            ),
            diff: None,
            apply: self.apply(),
            undo: Undo::Never,
        }))
    }
}
