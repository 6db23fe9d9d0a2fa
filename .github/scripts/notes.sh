#!/bin/sh
# Prints the section of CHANGELOG.md about a version, without its heading.
# notes.sh VERSION
set -eu
cd "$(dirname "$0")/../.."
awk -v version="$1" '
    /^## / { mine = $2 == version; next }
    mine { text = text $0 "\n" }
    END {
        gsub(/^\n+|\n+$/, "", text)
        if (text == "") exit 1
        print text
    }
' CHANGELOG.md || {
    printf 'notes.sh: CHANGELOG.md says nothing of %s\n' "$1" >&2
    exit 1
}
