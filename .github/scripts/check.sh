#!/bin/sh
# Whether a tag may be released: says everything that speaks against it.
# check.sh TAG REPOSITORY    the address of the repository that the release is made in
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
tag=$1 repository=$2
version=$("$here/version.sh")
wrong=0

against() {
    printf 'check.sh: %s\n' "$1" >&2
    wrong=1
}

if [ "$tag" != "v$version" ]; then against "the tag is $tag, and Cargo.toml says $version"; fi
if ! grep -q "^repository = \"$repository\"\$" Cargo.toml; then against "\`repository\` in Cargo.toml is not $repository"; fi
if ! grep -q "^releases=$repository/releases\$" install.sh; then against "\`releases\` in install.sh is not $repository/releases"; fi
if ! "$here/notes.sh" "$version" >/dev/null; then wrong=1; fi
if grep -q "^## $version (unreleased)" CHANGELOG.md; then against "CHANGELOG.md calls $version unreleased: write the day"; fi
# Minisign's: 42 bytes, of which the first two say so.
case ${OCEANID_PUBLIC_KEY-} in
    RW??????????????????????????????????????????????????????) ;;
    *) against 'OCEANID_PUBLIC_KEY is no public key of minisign: set it as a variable of the repository' ;;
esac
exit "$wrong"
