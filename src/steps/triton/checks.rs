//! What would keep Triton from serving, looked at before anything is stopped: scripts that only read.

use crate::cluster::{ModelControl, Ports, Triton};
use crate::script::quote;

/// As much of protobuf's text format as is needed: brackets, strings, and two fields.
///
/// `gpus` is how many the host has; without any, what a model wants of them is somebody else's to say.
const PARSE: &str = r##"
function say(text) { printf "model `%s`: config.pbtxt, line %d: %s\n", model, line, text }
function finish() {
  if (model != "" && depth > 0) { line = opened[depth]; say("`" stack[depth] "` is not closed") }
  depth = 0; key = ""
}
function ends(text,   quote, at) {
  quote = substr(text, 1, 1)
  for (at = 2; at <= length(text); at++) {
    if (substr(text, at, 1) == "\\") { at++; continue }
    if (substr(text, at, 1) == quote) return at
  }
  return 0
}
function word(text) {
  if (text !~ /^-?[0-9]+$/) { key = text; return }
  if (key == "gpus" && gpus > 0 && text + 0 >= gpus) say("there is no GPU " text ", the host has " gpus)
}
FNR == 1 { finish(); model = FILENAME; sub(/\/config\.pbtxt$/, "", model); sub(/^.*\//, "", model) }
{
  rest = $0; line = FNR
  while (rest != "") {
    c = substr(rest, 1, 1); used = 1
    if (c == "#") break
    if (c == "\"" || c == "'") {
      used = ends(rest)
      if (used == 0) { say("a string does not end"); break }
      value = substr(rest, 2, used - 2)
      if (depth == 0 && key == "name" && value != model) say("`name` is `" value "`, but the folder is `" model "`")
    } else if (c == "{" || c == "[") { stack[++depth] = c; opened[depth] = FNR }
    else if (c == "}" || c == "]") {
      if (depth > 0 && stack[depth] == (c == "}" ? "{" : "[")) depth--
      else { say("`" c "` closes nothing"); depth = 0 }
    } else if (match(rest, /^[A-Za-z0-9_.+-]+/)) { used = RLENGTH; word(substr(rest, 1, used)) }
    rest = substr(rest, used + 1)
  }
}
END { finish() }
"##;

/// Whether every model that is to be loaded can be, as far as one sees without loading it.
pub fn models(triton: &Triton) -> String {
    let empty = match triton.control {
        ModelControl::None => "say \"no model is in $models\"",
        ModelControl::Explicit | ModelControl::Poll => ":",
    };
    format!(
        r#"models={models} user={uid} group={gid}
say() {{ problems="$problems$*
"; }}
problems=
if ! cd -- "$models" 2>/dev/null; then printf 'there is no folder %s: put your models there\n' "$models"; exit 1; fi
gpus=0
for device in /dev/nvidia[0-9]*; do if [ -e "$device" ]; then gpus=$(( gpus + 1 )); fi; done
set --
for folder in {folders}; do
  model=${{folder%/}}
  if [ "$model" = '*' ]; then {empty}; continue; fi
  if [ ! -d "$folder" ]; then say "model \`$model\`: there is no such folder in $models"; continue; fi
  version=
  for inner in "$folder"*/; do
    name=${{inner%/}}; name=${{name##*/}}
    case $name in
      '*') ;;
      0*|[1-9]*[!0-9]*|[vV][0-9]*) say "model \`$model\`: the version \`$name\` is not a whole number" ;;
      [1-9]*) version=$name ;;
    esac
  done
  if [ -z "$version" ]; then say "model \`$model\`: it has no version, a folder such as \`1\`"; fi
  if [ -f "${{folder}}config.pbtxt" ]; then set -- "$@" "./${{folder}}config.pbtxt"; fi
done
if [ "$#" -gt 0 ]; then
  said=$(awk -v gpus="$gpus" {parse} "$@" 2>&1) || :
  if [ -n "$said" ]; then say "$said"; fi
fi
as() {{ setpriv --reuid "$user" --regid "$group" --clear-groups -- "$@"; }}
closed=$(as find -L . \( ! -readable -o -type d ! -executable \) -print -prune 2>/dev/null | head -n 3) || :
if [ -n "$closed" ]; then say "the user $user:$group of Triton cannot read $(printf %s "$closed" | tr '\n' ' ')"; fi
if [ -n "$problems" ]; then printf %s "$problems"; exit 1; fi
"#,
        models = quote(&triton.models),
        uid = triton.user.uid,
        gid = triton.user.gid,
        folders = folders(triton),
        parse = quote(PARSE),
    )
}

/// The folders of the models that are loaded at the start, for the shell: a pattern, or their names.
pub fn folders(triton: &Triton) -> String {
    match triton.load.as_slice() {
        _ if triton.control != ModelControl::Explicit => String::from("*/"),
        [all] if all == "*" => String::from("*/"),
        names => names.iter().map(|name| quote(&format!("{name}/"))).collect::<Vec<_>>().join(" "),
    }
}

/// Whether something says which devices the CDI name of the GPUs stands for.
pub fn device() -> String {
    String::from(
        "for spec in /etc/cdi/*.yaml /etc/cdi/*.json /var/run/cdi/*.yaml /var/run/cdi/*.json; do\n\
         if [ -r \"$spec\" ] && grep -q 'nvidia.com/gpu' -- \"$spec\"; then exit 0; fi\ndone\n\
         echo 'no CDI specification names it (`oceanid bootstrap --only nvidia` has it generated)'\nexit 1\n",
    )
}

/// Whether the ports are Triton's own, or nobody's.
pub fn ports(ports: Ports, unit: &str, unit_file: &str, container: &str) -> String {
    let all = [ports.http, ports.grpc, ports.metrics].map(|port| port.to_string()).join(" ");
    format!(
        r#"ours=
if systemctl -q is-active -- {unit} && [ -r {unit_file} ]; then ours=$(cat -- {unit_file}); fi
taken=
for port in {all}; do
  case $ours in *"127.0.0.1:$port:"*) ;; *) taken="$taken $port" ;; esac
done
[ -n "$taken" ] || exit 0
sockets=$(ss -Hltnp 2>/dev/null) || :
wrong=0
for port in $taken; do
  line=$(printf '%s\n' "$sockets" | awk -v port="$port" '
    $4 ~ "^(127[.]0[.]0[.]1|0[.]0[.]0[.]0|[*]|\\[::\\]|\\[::ffff:127[.]0[.]0[.]1\\])(%[a-z0-9]+)?:" port "$" {{ print; exit }}')
  [ -n "$line" ] || continue
  owner=$(printf '%s\n' "$line" | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (process \2)/p')
  name=$(docker ps --filter "publish=$port" --format '{{{{.Names}}}}' 2>/dev/null | head -n 1) || name=
  if [ "$name" = {container} ]; then continue; fi
  if [ -n "$name" ]; then owner="the container $name"; fi
  printf 'port %s of 127.0.0.1 is taken by %s\n' "$port" "${{owner:-a process that does not say its name}}"
  wrong=1
done
exit "$wrong"
"#,
        unit = quote(unit),
        unit_file = quote(unit_file),
        container = quote(container),
    )
}
