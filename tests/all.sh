#!/bin/sh
# Runs every test and every check, on real hosts of its own; needs root, Debian and a Rust toolchain.
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8
musl=x86_64-unknown-linux-musl

say() { printf '\n== %s\n' "$1"; }

say 'set-up'
tests/setup.sh

say 'format, licences, scripts'
cargo fmt --all --check
cargo deny --offline check licenses bans sources
shellcheck tests/*.sh tests/lab/scripts/*.sh .github/scripts/*.sh .ci/run
shellcheck -s sh install.sh

say 'tests are built'
cargo build --locked --target "$musl" -p sim
export OCEANID_LAB_SIM="$PWD/target/$musl/debug/sim"
cargo nextest run --workspace --locked --no-run

small_and_static() {
    binary=target/$musl/release/oceanid
    file=$(od -An -tx1 -N4 "$binary" | tr -d ' \n')
    [ "$file" = 7f454c46 ] || { printf '%s is no ELF file\n' "$binary" >&2; exit 1; }
    if readelf -l "$binary" | grep -q INTERP; then
        printf '%s needs a dynamic linker\n' "$binary" >&2
        exit 1
    fi
    size=$(stat -c %s "$binary")
    printf 'oceanid: %s bytes, static\n' "$size"
    [ "$size" -le 9500000 ] || { printf 'that is more than 9.5 MB\n' >&2; exit 1; }
}

# Tests wait for hosts most of the time: beside them there is room for what only computes.
log=$(mktemp)
(
    tests/release.sh build
    small_and_static
    tests/release.sh try
    cargo clippy --workspace --all-targets --locked -- -D warnings
    tests/release.sh again
) >"$log" 2>&1 &
beside=$!
renice -n 15 "$beside" >/dev/null
trap 'kill "$beside" 2>/dev/null || :; rm -f "$log"' EXIT

say 'tests; beside them the release, rehearsed, and the lints'
status=0
cargo nextest run --workspace --locked --no-fail-fast || status=$?

say 'release, rehearsed; lints'
wait "$beside" || status=$?
cat "$log"
exit "$status"
