#!/bin/sh
# Builds oceanid for a target so that the same commit and toolchain give the same bytes wherever the checkout is.
# build.sh TARGET [ARGUMENT OF cargo build …]
set -eu
cd "$(dirname "$0")/../.."
root=$(pwd -P)
target=$1
shift

cargo_home=$(cd "${CARGO_HOME:-$HOME/.cargo}" && pwd)
# Neither where this checkout is nor whose machine it is may show in the program. Cargo leaves this flag out of what
# it names crates after.
separator=$(printf '\037')
CARGO_ENCODED_RUSTFLAGS="--remap-path-prefix=$root=/oceanid$separator--remap-path-prefix=$cargo_home=/cargo"
CFLAGS="-ffile-prefix-map=$root=/oceanid -ffile-prefix-map=$cargo_home=/cargo"
export CARGO_ENCODED_RUSTFLAGS CFLAGS CARGO_INCREMENTAL=0
# A copy without its history is told them.
: "${SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)}"
: "${OCEANID_COMMIT=$(git describe --always --dirty --abbrev=40 --exclude '*')}"
export SOURCE_DATE_EPOCH OCEANID_COMMIT

case $target in
    *-linux-musl)
        # The toolchain's own linker and C library: the same ones on every machine, for every architecture.
        export "CARGO_TARGET_$(printf '%s' "$target" | tr 'a-z-' 'A-Z_')_LINKER=rust-lld"
        # A clang needs nothing else of the target.
        export "CC_$(printf '%s' "$target" | tr - _)=clang"
        ;;
    *-apple-darwin)
        export MACOSX_DEPLOYMENT_TARGET=11.0
        ;;
esac
exec cargo build --release --locked --target "$target" --package oceanid "$@"
