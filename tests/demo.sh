#!/bin/sh
# Sets everything up and shows the main job: four real hosts on this machine, from bare to a cluster.
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8

say() { printf '\n\033[1m%s\033[0m\n' "$1"; }

say '== set-up: packages, build (minutes on the first run)'
tests/setup.sh
cargo build --locked -p oceanid -p lab
lab=target/debug/lab

# Without a real k3s in reach, a stand-in of the tests plays its part.
if [ -z "${OCEANID_LAB_K3S-}" ]; then
    printf 'k3s: the stand-in (OCEANID_LAB_K3S=/path/to/k3s takes a real one)\n'
    cargo build --locked --release --target x86_64-unknown-linux-musl -p sim
    OCEANID_LAB_SIM=$PWD/target/x86_64-unknown-linux-musl/release/sim
    export OCEANID_LAB_SIM
else
    printf 'k3s: %s\n' "$("$OCEANID_LAB_K3S" --version | head -n 1)"
fi

say '== four bare hosts boot: Debian 12 and 13, systemd, sshd'
way=$(mktemp)
"$lab" up >"$way" &
hosts=$!
trap 'kill "$hosts" 2>/dev/null || :; wait "$hosts" 2>/dev/null || :; rm -f "$way"' EXIT
while ! grep -q '^# ready' "$way"; do
    kill -0 "$hosts" 2>/dev/null || exit 1
    sleep 0.2
done
# shellcheck disable=SC1090 # made by the lab a moment ago
. "$way"

for words in plan 'bootstrap --yes' 'bootstrap --yes' status verify; do
    say "\$ oceanid $words"
    # shellcheck disable=SC2086 # the words are the command line
    target/debug/oceanid $words
done
