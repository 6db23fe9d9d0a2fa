#!/bin/sh
# Rehearses a release with the scripts that make one; needs what tests/setup.sh installs.
#
#   build    the first build of x86_64, with a key of its own
#   try      pack, sign, describe, install from a local server, upgrade, refuse what was changed: after `build`
#   again    x86_64 once more, in another folder, to the same bytes; and aarch64: after `build`, beside anything else
#
# Without an argument: all of them.
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8
root=$(pwd)
scripts=$root/.github/scripts
made=$root/target/release-rehearsal
graders=$root/target/graders/release-1
musl=x86_64-unknown-linux-musl
arm=aarch64-unknown-linux-musl

say() { printf '== %s\n' "$1"; }

fail() {
    printf 'tests/release.sh: %s\n' "$1" >&2
    exit 1
}

# The programs carry the public half, as released ones do; nobody else ever gets the secret half.
use_key() {
    if ! [ -e "$made/minisign.key" ]; then
        mkdir -p "$made"
        minisign -G -W -p "$made/minisign.pub" -s "$made/minisign.key" >/dev/null
    fi
    OCEANID_PUBLIC_KEY=$(sed -n 2p "$made/minisign.pub")
    export OCEANID_PUBLIC_KEY
}

build() {
    use_key
    "$scripts/build.sh" "$musl"
}

again() {
    use_key
    other=$made/another/folder/source
    rm -rf "$made/another"
    mkdir -p "$other" "$made/another/cargo"
    git ls-files -z | xargs -0 cp --parents -t "$other"
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
    OCEANID_COMMIT=$(git describe --always --dirty --abbrev=40 --exclude '*')
    export SOURCE_DATE_EPOCH OCEANID_COMMIT
    # Another home of Cargo's, with the crates that are there already.
    ln -s "${CARGO_HOME:-$HOME/.cargo}/registry" "$made/another/cargo/registry"
    CARGO_HOME=$made/another/cargo CARGO_TARGET_DIR=$made/another/target \
        "$other/.github/scripts/build.sh" "$musl" --quiet --jobs 1 &
    second=$!
    CARGO_TARGET_DIR=$made/another/$arm "$scripts/build.sh" "$arm" --quiet --jobs 1
    wait "$second"
    cmp "target/$musl/release/oceanid" "$made/another/target/$musl/release/oceanid" ||
        fail 'the second build of the same source gave other bytes'
    program=$made/another/$arm/$arm/release/oceanid
    # EM_AARCH64.
    [ "$(od -An -j18 -N2 -tx1 "$program" | tr -d ' \n')" = b700 ] || fail "$program is not for aarch64"
    if readelf -l "$program" | grep -q INTERP; then fail "$program needs a dynamic linker"; fi
    say 'x86_64 is the same in two builds, and aarch64 builds'
    stat -c '%s bytes: %n' "target/$musl/release/oceanid" "$program"
    rm -rf "$made/another"
}

# The files of a release, twice, in $made/dist.
pack() {
    rm -rf "$made/programs" "$made/dist" "$made/dist-again"
    mkdir -p "$made/programs"
    cp "target/$musl/release/oceanid" "$made/programs/oceanid-$musl"
    # What is for another machine is packed without being run.
    printf 'not for this machine\n' >"$made/programs/oceanid-aarch64-apple-darwin"
    "$scripts/package.sh" "$made/programs" "$made/dist"
    touch "$made/programs"/*
    (umask 077 && cd / && TZ=Asia/Tokyo "$scripts/package.sh" "$made/programs" "$made/dist-again")
    diff -r "$made/dist" "$made/dist-again" || fail 'packing twice gave other bytes'
    "$scripts/sign.sh" "$made/dist" "$made/minisign.key" >/dev/null
    version=$("$scripts/version.sh")
    stem=oceanid-$version-$musl
    tar -tzf "$made/dist/$stem.tar.gz" >"$made/listed"
    for file in oceanid LICENSE README.md CHANGELOG.md completions/oceanid.bash completions/_oceanid \
        completions/oceanid.fish man/man1/oceanid.1 man/man1/oceanid-bootstrap.1; do
        grep -qx "$stem/$file" "$made/listed" || fail "the archive lacks $file"
    done
    if tar -tvzf "$made/dist/$stem.tar.gz" | grep -v ' 0/0 '; then fail 'the archive tells who packed it'; fi
    (cd "$made/dist" && sha256sum --quiet -c SHA256SUMS)
    stat -c '%s bytes: %n' "$made/dist"/*
}

# Tools that others wrote: the schemas of GitHub and of CycloneDX, and what is known to go wrong in workflows.
grade() {
    export PYTHONPATH="$graders"
    "$graders/bin/check-jsonschema" -q --builtin-schema vendor.github-workflows .github/workflows/*.yml
    "$graders/bin/zizmor" -q --offline --pedantic .github/workflows
    python3 -c '
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
sys.exit(JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read()))
' "$made/dist/oceanid-$version.cdx.json"
    unset PYTHONPATH
}

# What may be released, and what not.
check() {
    repository=$(sed -n 's/^repository = "\(.*\)"/\1/p' Cargo.toml)
    "$scripts/notes.sh" "$version" >"$made/notes.md"
    if "$scripts/notes.sh" 99.0.0 2>/dev/null; then fail 'a version that nobody wrote of has notes'; fi
    if "$scripts/check.sh" v99.0.0 "$repository" 2>"$made/said"; then fail 'a wrong tag may be released'; fi
    grep -q 'the tag is v99.0.0' "$made/said" || fail "$(cat "$made/said")"
    if "$scripts/check.sh" "v$version" https://example.com/x 2>"$made/said"; then fail 'any repository may release'; fi
    grep -q 'in install.sh is not' "$made/said" || fail "$(cat "$made/said")"
    if OCEANID_PUBLIC_KEY='' "$scripts/check.sh" "v$version" "$repository" 2>"$made/said"; then fail 'no key is needed'; fi
    # Only what is written on the day of a release may be missing.
    "$scripts/check.sh" "v$version" "$repository" 2>&1 | grep -v 'unreleased: write the day' >"$made/said" || :
    if [ -s "$made/said" ]; then fail "$(cat "$made/said")"; fi
}

# A release of a program that only says its version.
small_release() {
    folder=$made/www/download/v$1
    mkdir -p "$folder" "$made/oceanid-$1-$musl"
    printf '#!/bin/sh\nprintf "oceanid %s\\n"\n' "$1" >"$made/oceanid-$1-$musl/oceanid"
    tar -C "$made" -czf "$folder/oceanid-$1-$musl.tar.gz" "oceanid-$1-$musl"
    (cd "$folder" && sha256sum oceanid-*.tar.gz >SHA256SUMS)
    minisign -S -s "$made/minisign.key" -m "$folder/SHA256SUMS" >/dev/null
}

newest() {
    mkdir -p "$made/www/latest"
    ln -sfn "../download/v$1" "$made/www/latest/download"
}

# $1 is what it must say, the rest is run.
says() {
    wanted=$1
    shift
    # What is said is folded to the width of a terminal.
    "$@" 2>&1 | tr -s ' \n' ' ' >"$made/said" || :
    grep -qF "$wanted" "$made/said" || fail "\`$*\` does not say \`$wanted\`: $(cat "$made/said")"
}

install_and_update() {
    rm -rf "$made/www" "$made/installed"
    small_release 0.0.9
    small_release 99.0.0
    mkdir -p "$made/www/download"
    ln -s ../../dist "$made/www/download/v$version"
    python3 -u -m http.server --bind 127.0.0.1 --directory "$made/www" 0 >"$made/served" 2>&1 &
    server=$!
    trap 'kill "$server"' EXIT
    tries=0
    until port=$(sed -n 2>/dev/null 's/.* port \([0-9]*\) .*/\1/p' "$made/served") && [ -n "$port" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || fail 'the server does not come up'
        sleep 0.1
    done
    export OCEANID_BASE_URL="http://127.0.0.1:$port" OCEANID_INSTALL_DIR="$made/installed"
    newest 0.0.9
    says 'oceanid 0.0.9 is in' sh install.sh
    newest "$version"
    says "oceanid $version is in $made/installed, in place of 0.0.9" sh "$made/dist/install.sh"
    says "oceanid $version in $made/installed is up to date" sh install.sh
    says "must be signed with $OCEANID_PUBLIC_KEY" "$made/installed/oceanid" version
    says 'there is no newer one; its signature is right' "$made/installed/oceanid" version --check
    says 'is up to date' "$made/installed/oceanid" self-update
    newest 99.0.0
    printf 'x' >>"$made/www/download/v99.0.0/oceanid-99.0.0-$musl.tar.gz"
    says 'is not what was released' "$made/installed/oceanid" self-update
    says 'is not what was released' sh install.sh
    # Whoever changes both is caught by the signature.
    (cd "$made/www/download/v99.0.0" && sha256sum oceanid-*.tar.gz >SHA256SUMS)
    says "is no signature of oceanid's" "$made/installed/oceanid" self-update
    cmp -s "$made/installed/oceanid" "target/$musl/release/oceanid" || fail 'a release that was changed left a trace'
    small_release 99.0.0
    says "oceanid 99.0.0 is in $made/installed/oceanid, in place of $version" "$made/installed/oceanid" self-update
    says 'oceanid 99.0.0' "$made/installed/oceanid"
    [ "$(find "$made/installed" -mindepth 1)" = "$made/installed/oceanid" ] || fail 'something was left beside the program'
}

try() {
    use_key
    say 'pack, sign, describe'
    pack
    grade
    check
    say 'install from a local server, upgrade, refuse what was changed'
    install_and_update
    say 'the rehearsal went well'
}

case ${1-all} in
    build) build ;;
    try) try ;;
    again) again ;;
    all)
        build
        try
        again
        ;;
    *) fail 'build, try or again' ;;
esac
