//! A container image that is on the host, by its digest.

use std::time::Duration;

use super::output;
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::script::{Script, quote};

/// What an image needs on the disk while it arrives: packed and unpacked, in parts of its packed size.
const ROOM: u64 = 3;

/// The sizes of an image's packed layers for this machine, summed up.
const PACKED: &str = r#"packed() {
  architecture=$(docker version -f '{{.Server.Arch}}') || return 1
  docker manifest inspect -v -- "$image" 2>"$OCEANID_UNDO/manifest" | awk -v wanted="$architecture" '
    /"architecture":/ { here = index($0, "\"" wanted "\"") > 0; layers = 0 }
    /"layers":/ { layers = 1 }
    /"size":/ && layers && here { gsub(/[^0-9]/, ""); sum += $0 }
    END { printf "%d\n", sum / 1048576 }'
}
"#;

/// A container image, pulled by its digest.
#[derive(Debug, Clone)]
pub struct Image {
    name: String,
    limit: Duration,
    way: String,
}

impl Image {
    /// Requires the image `name`, which ends in its digest, within `limit`.
    pub fn pulled(name: impl Into<String>, limit: Duration) -> Self {
        Self { name: name.into(), limit, way: String::new() }
    }

    /// Has Docker's client ask the registry through `proxy`, but for what is `around` it.
    #[must_use]
    pub fn through(mut self, proxy: &str, around: &str) -> Self {
        self.way = format!("export HTTPS_PROXY={} NO_PROXY={}\n", quote(proxy), quote(around));
        self
    }

    fn apply(&self) -> Script {
        let limit = self.limit.as_secs();
        let text = format!(
            r#"image={image}
log=$OCEANID_UNDO/pull
{way}{PACKED}root=$(docker info -f '{{{{.DockerRootDir}}}}')
free() {{ df -Pm -- "$root" | awk 'END {{ print $4 }}'; }}
# A registry that does not say it is asked all the same: the pull itself tells what is wrong with it.
size=$(packed) || size=0
if [ "$size" -gt 0 ] && [ "$(free)" -lt $(( size * {ROOM} )) ]; then
  printf 'the image has %s MiB packed and needs %s MiB to arrive; %s MiB are free in %s: no space left\n' \
    "$size" $(( size * {ROOM} )) "$(free)" "$root" >&2
  exit 1
fi
docker pull -- "$image" >"$log" 2>&1 </dev/null &
pull=$!
limit=$(( $(date +%s) + {limit} ))
while kill -0 "$pull" 2>/dev/null; do
  if [ "$(date +%s)" -ge "$limit" ]; then
    kill "$pull"
    printf 'the image has not arrived within {limit} s (`triton.pull-seconds`); what has is kept\n' >&2
    exit 1
  fi
  all=$(grep -c 'Pulling fs layer' -- "$log") || :
  done=$(grep -cE 'Pull complete|Already exists' -- "$log") || :
  progress "pulling $size MiB, $done of $all layers are there, $(( limit - $(date +%s) )) s left"
  sleep 0.5
done
status=0; wait "$pull" || status=$?
if [ "$status" -ne 0 ]; then
  tail -n 3 -- "$log" >&2
  printf 'cannot pull %s\n' "$image" >&2
  exit 1
fi
"#,
            image = quote(&self.name),
            way = self.way,
        );
        Script::new(text).deadline(self.limit + Duration::from_secs(60))
    }
}

impl Action for Image {
    fn subject(&self) -> String {
        format!("image {}", self.name)
    }

    fn probe(&self) -> Vec<Question> {
        let url = quote(&format!("http://docker/images/{}/json", self.name));
        vec![Question::Script(format!(
            "curl -fs -o /dev/null --max-time 10 --unix-socket /run/docker.sock -- {url}\n"
        ))]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        if output(seen, 0)?.status == 0 {
            return Ok(None);
        }
        Ok(Some(Change {
            summary: format!("pull, within {} s", self.limit.as_secs()),
            diff: None,
            apply: self.apply(),
            undo: Undo::Never,
        }))
    }
}
