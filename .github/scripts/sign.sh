#!/bin/sh
# Signs the sums of a release, and verifies that with the key that the programs carry.
# sign.sh OUT KEY    KEY is minisign's secret key, without a password; OCEANID_PUBLIC_KEY is the public one
set -eu
here=$(cd "$(dirname "$0")" && pwd)
version=$("$here/version.sh")
rm -f "$1/SHA256SUMS.minisig"
minisign -S -s "$2" -c "signature of oceanid's release" -t "oceanid $version" -m "$1/SHA256SUMS"
minisign -V -q -P "$OCEANID_PUBLIC_KEY" -m "$1/SHA256SUMS"
