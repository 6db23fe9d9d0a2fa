#!/bin/sh
# Compares `oceanid plan` with `ssh HOST true` on real hosts of its own and prints a table; needs root.
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8
musl=x86_64-unknown-linux-musl
cargo build --quiet --locked --release --target "$musl" -p oceanid -p sim
cargo build --quiet --locked -p lab
OCEANID_LAB_SIM=$PWD/target/$musl/release/sim
export OCEANID_LAB_SIM
target/debug/benchmark "target/$musl/release/oceanid" "$@"
printf '\n'
target/debug/overhead "target/$musl/release/oceanid"
