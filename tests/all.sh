#!/bin/sh
# Runs every test and every check, on real hosts of its own; needs root, Debian and a Rust toolchain.
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8
musl=x86_64-unknown-linux-musl

say() { printf '\n== %s\n' "$1"; }

say 'set-up'
tests/setup.sh

say 'format and lints'
cargo fmt --all --check
cargo clippy --workspace --all-targets --locked -- -D warnings
cargo deny --offline check licenses bans sources
shellcheck tests/*.sh tests/lab/scripts/*.sh .github/scripts/*.sh .ci/run
shellcheck -s sh install.sh

say 'release build: static and small'
tests/release.sh build
binary=target/$musl/release/oceanid
file=$(od -An -tx1 -N4 "$binary" | tr -d ' \n')
[ "$file" = 7f454c46 ] || { printf '%s is no ELF file\n' "$binary" >&2; exit 1; }
if readelf -l "$binary" | grep -q INTERP; then
    printf '%s needs a dynamic linker\n' "$binary" >&2
    exit 1
fi
size=$(stat -c %s "$binary")
printf 'oceanid: %s bytes, static\n' "$size"
[ "$size" -le 9000000 ] || { printf 'that is more than 9 MB\n' >&2; exit 1; }

say 'release: a rehearsal'
tests/release.sh try
# Beside the tests, which mostly wait, and behind them where they do not.
again=$PWD/target/release-rehearsal/again.log
setsid sh -c 'printf 19 >/proc/self/autogroup 2>/dev/null; exec nice -n 19 tests/release.sh again' >"$again" 2>&1 &
rehearsal=$!
trap 'kill -- "-$rehearsal" 2>/dev/null || :' EXIT

say 'tests'
export OCEANID_LAB_SIM="$PWD/target/$musl/release/sim"
cargo nextest run --workspace --locked --no-fail-fast

say 'release: the second build'
wait "$rehearsal" || { cat "$again" >&2; exit 1; }
cat "$again"
trap - EXIT
