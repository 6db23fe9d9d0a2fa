#!/bin/sh
# Has lynis grade hosts of its own, bare and hardened, and prints a table; needs root. Fails where that is less than
# 15 points apart.
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8
least=15
hosts='tethys styx'
musl=x86_64-unknown-linux-musl
cargo build --quiet --locked --release --target "$musl" -p sim
cargo build --quiet --locked -p oceanid -p lab
OCEANID_LAB_SIM=$PWD/target/$musl/release/sim
export OCEANID_LAB_SIM
lab=target/debug/lab
log=$(mktemp)
folder=''
trap 'if [ -n "$folder" ]; then "$lab" down --lab "${folder##*/}" >/dev/null; fi; rm -f "$log"' EXIT
trap 'exit 130' INT TERM

# Prints the command's output only if it fails.
quietly() {
    "$@" >"$log" 2>&1 || { cat "$log" >&2; return 1; }
}

on() {
    host=$1
    shift
    "$lab" exec --lab "${folder##*/}" "$host" -- "$@"
}

index() {
    quietly on "$1" lynis audit system --quick --no-colors || return 1
    on "$1" "sed -n 's/^hardening_index=//p' /var/log/lynis-report.dat"
}

folder=$("$lab" up --keep --topology four 2>"$log") || { cat "$log" >&2; exit 1; }
bare=''
for host in $hosts; do
    quietly on "$host" 'apt-get update && apt-get install --yes --no-install-recommends lynis'
    bare="$bare $(index "$host")"
done
(
    set -a
    # shellcheck disable=SC1091 # made by the lab a moment ago
    . "$folder/environment"
    # shellcheck disable=SC2086 # one argument a host
    quietly target/debug/oceanid bootstrap --yes --only prepare,harden -f "$folder/cluster.toml" $hosts
)

printf '| lynis | bare | hardened |\n|---|---:|---:|\n'
# shellcheck disable=SC2086 # one argument an index
set -- $bare
status=0
for host in $hosts; do
    # shellcheck disable=SC2016 # for the host's shell
    release=$(on "$host" '. /etc/os-release; printf "Debian %s" "$VERSION_ID"')
    hardened=$(index "$host")
    printf '| %s | %s | %s |\n' "$release" "$1" "$hardened"
    if [ "$((hardened - $1))" -lt "$least" ]; then
        printf '%s: less than %s points apart\n' "$release" "$least" >&2
        status=1
    fi
    shift
done
exit "$status"
