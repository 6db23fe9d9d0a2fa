#!/bin/sh
# Builds oceanid for a target so that the same commit and toolchain give the same bytes wherever it stands.
# build.sh TARGET [ARGUMENT OF cargo build …]
set -eu
cd "$(dirname "$0")/../.."
root=$(pwd -P)
target=$1
shift

cargo_home=$(cd "${CARGO_HOME:-$HOME/.cargo}" && pwd -P)
# Neither where this checkout is nor whose machine it is may show in the program. Every machine has another order of
# them, and cargo leaves this one flag out of the names that it gives to crates.
separator=$(printf '\037')
CARGO_ENCODED_RUSTFLAGS="--remap-path-prefix=$root=/oceanid$separator--remap-path-prefix=$cargo_home=/cargo"
CFLAGS="-ffile-prefix-map=$root=/oceanid -ffile-prefix-map=$cargo_home=/cargo"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
OCEANID_COMMIT=$(git describe --always --dirty --abbrev=40 --exclude '*')
export CARGO_ENCODED_RUSTFLAGS CFLAGS SOURCE_DATE_EPOCH OCEANID_COMMIT
export CARGO_INCREMENTAL=0

case $target in
    *-linux-musl)
        # The toolchain's own linker and C library: the same ones on every machine, for every architecture.
        name=$(printf '%s' "$target" | tr 'a-z-' 'A-Z_')
        export "CARGO_TARGET_${name}_LINKER=rust-lld"
        # A clang needs no sysroot of the target.
        export "CC_$(printf '%s' "$target" | tr - _)=clang"
        ;;
esac
exec cargo build --release --locked --target "$target" --package oceanid "$@"
