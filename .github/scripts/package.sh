#!/bin/sh
# Makes what is released: an archive for each program, the list of parts, install.sh, and the sums of them all.
# package.sh PROGRAMS OUT    PROGRAMS holds oceanid-TARGET for each target, one of them for this machine; OUT is made
# The same programs give the same bytes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
programs=$(cd "$1" && pwd)
mkdir -p "$2"
out=$(cd "$2" && pwd)
export LC_ALL=C TZ=UTC
umask 022

version=$("$here/version.sh")
: "${SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct)}"
export SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A program writes its own pages and completions, the same ones on every target.
native=''
for program in "$programs"/oceanid-*; do
    if [ "$("$program" --version 2>/dev/null)" = "oceanid $version" ]; then native=$program; fi
done
if [ -z "$native" ]; then
    printf 'package.sh: none of the programs in %s runs here and is oceanid %s\n' "$programs" "$version" >&2
    exit 1
fi
mkdir -p "$work/shared/completions" "$work/shared/man/man1"
"$native" completions bash >"$work/shared/completions/oceanid.bash"
"$native" completions zsh >"$work/shared/completions/_oceanid"
"$native" completions fish >"$work/shared/completions/oceanid.fish"
"$native" man "$work/shared/man/man1" >/dev/null
cp "$root/LICENSE" "$root/README.md" "$root/CHANGELOG.md" "$work/shared/"

for program in "$programs"/oceanid-*; do
    stem=oceanid-$version-${program##*/oceanid-}
    mkdir "$work/$stem"
    cp -R "$work/shared/." "$work/$stem/"
    cp "$program" "$work/$stem/oceanid"
    find "$work/$stem" -type d -exec chmod 0755 {} +
    find "$work/$stem" -type f -exec chmod 0644 {} +
    chmod 0755 "$work/$stem/oceanid"
    # Neither who packs, nor when, nor in which order the disk lists files.
    tar -C "$work" --format=ustar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
        -cf "$work/$stem.tar" "$stem"
    gzip -n -9 -c "$work/$stem.tar" >"$out/$stem.tar.gz"
done
cp "$root/install.sh" "$out/install.sh"
(cd "$root" && python3 "$here/sbom.py") >"$out/oceanid-$version.cdx.json"
"$here/notes.sh" "$version" >"$work/notes.md"
cd "$out"
sha256sum install.sh oceanid-*.tar.gz oceanid-*.cdx.json >SHA256SUMS
