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
shellcheck tests/*.sh tests/lab/scripts/*.sh .ci/run
# An install script comes with the first release.
if [ -e install.sh ]; then shellcheck -s sh install.sh; fi

say 'tests are built'
cargo build --locked --target "$musl" -p sim
export OCEANID_LAB_SIM="$PWD/target/$musl/debug/sim"
cargo nextest run --workspace --locked --no-run

small_and_static() {
    nice -n 15 cargo build --release --locked --target "$musl" -p oceanid
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
}

# Tests wait for hosts most of the time: beside them there is room for what only computes.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
(
    small_and_static
    nice -n 15 cargo clippy --workspace --all-targets --locked -- -D warnings
) >"$log" 2>&1 &
beside=$!

say 'tests; beside them the release build and the lints'
status=0
cargo nextest run --workspace --locked --no-fail-fast || status=$?

say 'release build: static and small; lints'
wait "$beside" || status=$?
cat "$log"
exit "$status"
