#!/bin/sh
# Installs oceanid: curl -fsSL https://github.com/oceanid/oceanid/releases/latest/download/install.sh | sh
#
#   OCEANID_VERSION       which version; the latest release when unset
#   OCEANID_INSTALL_DIR   the folder that it goes to; ~/.local/bin when unset
#   OCEANID_BASE_URL      a mirror with the releases: BASE/download/vVERSION/ holds the files of each version, and
#                         BASE/latest/download/SHA256SUMS is the one of the newest
#
# It needs no root and takes none. All of it is in functions, and the last line calls them: half a download does nothing.
# shellcheck disable=SC2016 # backticks in messages mark what can be typed

releases=https://github.com/oceanid/oceanid/releases

say() { printf '%s\n' "$1"; }

# fail MESSAGE [CAUSE [HINT]]
fail() {
    printf 'error: %s\n' "$1" >&2
    if [ -n "${2-}" ]; then printf '  caused by: %s\n' "$2" >&2; fi
    if [ -n "${3-}" ]; then printf '  hint: %s\n' "$3" >&2; fi
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# Whether $1 is a version, and nothing that could lead out of a path.
is_version() {
    case $1 in
        '' | *[!0-9A-Za-z.+-]*) return 1 ;;
    esac
    case ${1%%[-+]*} in
        *[!0-9.]* | *.*.*.* | .* | *. | *..*) return 1 ;;
        *.*.*) return 0 ;;
        *) return 1 ;;
    esac
}

# Whether version $1 comes before version $2.
before() {
    core=${1%%[-+]*} other=${2%%[-+]*}
    if [ "$core" = "$other" ]; then
        # 0.2.0-rc.1 comes before 0.2.0.
        case $1 in *-*) case $2 in *-*) return 1 ;; *) return 0 ;; esac ;; *) return 1 ;; esac
    fi
    while [ "${core%%.*}" = "${other%%.*}" ]; do
        core=${core#*.} other=${other#*.}
    done
    [ "${core%%.*}" -lt "${other%%.*}" ]
}

# The target that this machine's program was built for.
find_target() {
    system=$(uname -s) machine=$(uname -m)
    if [ "$system" = Darwin ] && [ "$(sysctl -n sysctl.proc_translated 2>/dev/null)" = 1 ]; then
        # A shell that Rosetta translates takes an arm64 machine for another one.
        machine=arm64
    fi
    case $machine in
        x86_64 | amd64) architecture=x86_64 ;;
        aarch64 | arm64) architecture=aarch64 ;;
        *) fail "there is no oceanid for \`$machine\`" '' 'it runs on x86_64 and aarch64; hosts that it sets up may be others' ;;
    esac
    case $system in
        Linux) target=$architecture-unknown-linux-musl ;;
        Darwin) target=$architecture-apple-darwin ;;
        MINGW* | MSYS* | CYGWIN* | Windows*) fail "there is no oceanid for \`$system\`" '' 'in WSL it installs as on Linux' ;;
        *) fail "there is no oceanid for \`$system\`" '' 'it runs on Linux and macOS; `cargo build --release` may build it' ;;
    esac
}

find_programs() {
    if has curl; then
        downloader=curl
    elif has wget; then
        downloader=wget
        case $(wget --help 2>&1) in *BusyBox*) downloader=busybox ;; esac
    else
        fail 'neither `curl` nor `wget` is there' '' 'install one of them: `apt-get install curl`'
    fi
    if has sha256sum; then
        hasher='sha256sum'
    elif has shasum; then
        hasher='shasum -a 256'
    elif has openssl; then
        hasher='openssl dgst -sha256 -r'
    else
        fail 'none of `sha256sum`, `shasum` and `openssl` is there' 'nothing is installed that was not verified' \
            'install one of them: `apt-get install coreutils`'
    fi
    if ! has tar; then
        fail '`tar` is not there' '' 'install it: `apt-get install tar gzip`'
    fi
}

# Downloads $1 to $2; what was said about it is in $said, which is no file: the disk may be full.
download() {
    case $downloader in
        curl)
            from=$1 to=$2
            set -- -fsSL --connect-timeout 20 --speed-limit 100 --speed-time 30 --retry 2
            # What was asked for encrypted is not taken in the open after a redirection.
            case $from in https://*) set -- "$@" --proto '=https' --tlsv1.2 ;; esac
            said=$(curl "$@" -o "$to" "$from" 2>&1)
            ;;
        wget)
            said=$(wget -nv -t 3 -T 30 -O "$2" "$1" 2>&1)
            ;;
        busybox)
            # Its own deadline holds: Debian's crashes when it is told another one.
            said=$(wget -q -O "$2" "$1" 2>&1) || return 1
            # It takes whatever answers for the one that was asked, and only mentions it.
            case $said in *'validation not implemented'*) return 1 ;; esac
            ;;
    esac
}

# Downloads $1 to $2, or says why not.
fetch() {
    if download "$1" "$2"; then
        return
    fi
    cause=$(printf '%s\n' "$said" | grep -E '^(curl|wget): |ERROR' | head -n 1)
    cause=${cause:-$(printf '%s\n' "$said" | head -n 1)}
    case $said in
        *'validation not implemented'*)
            fail "cannot get \`$1\` from whom it should come" "BusyBox's wget does not check certificates" \
                'install curl or GNU wget: `apk add curl`, `apt-get install curl`'
            ;;
        *[Cc]ertificate* | *SSL* | *TLS*)
            fail "cannot get \`$1\`" "$cause" \
                'does a proxy look into HTTPS? then this machine needs its CA; without any, `apt-get install ca-certificates`'
            ;;
        *'No space'* | *'curl: (23)'*)
            fail "cannot keep \`$1\`" "$cause" "is the disk full? \`df -h $dir\`"
            ;;
        *404*)
            fail "cannot get \`$1\`" "$cause" "is there such a version? $base lists them"
            ;;
        *)
            fail "cannot get \`$1\`" "${cause:-the download broke off}" \
                'is that address right, and is there a way to it? `https_proxy` is heeded'
            ;;
    esac
}

# A page in place of the file $2 that came from $1.
refuse_page() {
    case $(head -n 1 "$2" | tr -cd ' -~' | tr '[:upper:]' '[:lower:]') in
        *'<!doctype'* | *'<html'*)
            fail "\`$1\` is a web page" 'a proxy or a log-in page answers in place of the server' "\`curl -iL $1\` shows it"
            ;;
    esac
}

# The version that the sums are of: that of the archive for this machine.
version_of_sums() {
    version=''
    while read -r _ name more; do
        name=${name#\*}
        case $name in
            "oceanid-"*"-$target.tar.gz") ;;
            *) continue ;;
        esac
        name=${name#oceanid-}
        name=${name%"-$target.tar.gz"}
        if [ -n "$version$more" ] || ! is_version "$name"; then
            fail "\`$1\` is no list of one release's sums" "it names \`$name\`" "\`curl -iL $1\` shows it"
        fi
        version=$name
    done <"$work/SHA256SUMS"
    if [ -z "$version" ]; then
        fail "\`$1\` names no archive for $target" '' "\`curl -iL $1\` shows it"
    fi
}

# The sum of $1: its line alone counts, and there must be one.
sum_of() {
    wanted=''
    while read -r sum name more; do
        if [ "${name#\*}" != "$1" ] || [ -n "$more" ]; then
            continue
        fi
        case $sum in *[!0-9a-f]*) sum='' ;; esac
        if [ -n "$wanted" ] || [ "${#sum}" -ne 64 ]; then
            fail "the line of \`$1\` in SHA256SUMS is no sha256 sum" '' 'nothing was installed; the release or its mirror is broken'
        fi
        wanted=$sum
    done <"$work/SHA256SUMS"
    if [ -z "$wanted" ]; then
        fail "SHA256SUMS has no line for \`$1\`" '' 'nothing was installed; the release or its mirror is broken'
    fi
}

# What is installed already, if it says so itself.
find_installed() {
    installed=''
    if [ -d "$dir/oceanid" ]; then
        fail "\`$dir/oceanid\` is a folder" '' '`OCEANID_INSTALL_DIR` names another place'
    fi
    if [ -x "$dir/oceanid" ]; then
        installed=$("$dir/oceanid" --version 2>/dev/null) || installed=''
        installed=${installed#oceanid }
        if ! is_version "$installed"; then installed=''; fi
    fi
}

prepare_folder() {
    if [ -z "${OCEANID_INSTALL_DIR-}" ] && [ -z "${HOME-}" ]; then
        fail '`HOME` is not set' '' '`OCEANID_INSTALL_DIR=/usr/local/bin` says where to install'
    fi
    dir=${OCEANID_INSTALL_DIR:-$HOME/.local/bin}
    elsewhere='`OCEANID_INSTALL_DIR` names another folder; nothing here becomes root by itself'
    said=$(mkdir -p "$dir" 2>&1) || fail "cannot make the folder \`$dir\`" "$said" "$elsewhere"
    dir=$(cd "$dir" && pwd)
    # Beside the program: only there does a rename replace it at once, and whole.
    work=$(mktemp -d "$dir/.oceanid.XXXXXX" 2>&1) || fail "cannot write to \`$dir\`" "$work" "$elsewhere"
    trap 'rm -rf "$work"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# Which version is wanted, and the sums of its files.
find_version() {
    version=${OCEANID_VERSION-}
    version=${version#v}
    if [ -n "$version" ]; then
        if ! is_version "$version"; then
            fail "\`$version\` is no version" '' '`OCEANID_VERSION=0.1.0` is how one is written'
        fi
        if [ "$version" = "$installed" ]; then
            return
        fi
        url=$base/download/v$version/SHA256SUMS
        fetch "$url" "$work/SHA256SUMS"
        refuse_page "$url" "$work/SHA256SUMS"
        return
    fi
    url=$base/latest/download/SHA256SUMS
    fetch "$url" "$work/SHA256SUMS"
    refuse_page "$url" "$work/SHA256SUMS"
    version_of_sums "$url"
    if [ -n "$installed" ] && before "$version" "$installed"; then
        fail "oceanid $installed is installed, and $base offers only $version" '' "\`OCEANID_VERSION=$version\` goes back to it"
    fi
}

# Downloads, verifies and tries the program: $work/$stem/oceanid.
bring() {
    stem=oceanid-$version-$target
    url=$base/download/v$version/$stem.tar.gz
    sum_of "$stem.tar.gz"
    say "downloading $url"
    fetch "$url" "$work/archive"
    # shellcheck disable=SC2086 # a program and its arguments
    sum=$($hasher "$work/archive") || fail "\`$hasher\` fails" "$sum"
    if [ "${sum%% *}" != "$wanted" ]; then
        refuse_page "$url" "$work/archive"
        fail "\`$url\` is not what was released" "its sha256 is ${sum%% *}, and SHA256SUMS says $wanted" \
            'nothing was installed; a download that broke off, or somebody changed it: try again, then ask'
    fi
    if ! said=$(tar -xzf "$work/archive" -C "$work" "$stem/oceanid" 2>&1); then
        fail "cannot unpack \`$stem.tar.gz\`" "$(printf '%s\n' "$said" | head -n 1)" "is the disk full? \`df -h $dir\`"
    fi
    chmod 0755 "$work/$stem/oceanid"
    if ! said=$("$work/$stem/oceanid" --version 2>&1); then
        fail "oceanid $version does not run in \`$dir\`" "$said" 'is that folder mounted `noexec`? `OCEANID_INSTALL_DIR` names another one'
    fi
    if [ "$said" != "oceanid $version" ]; then
        fail "what is in \`$stem.tar.gz\` says that it is \`$said\`" '' 'nothing was installed; the release is broken'
    fi
}

# What to type so that the program is found, and then.
tell_what_next() {
    case ":${PATH-}:" in
        *":$dir:"*)
            first=$(command -v oceanid 2>/dev/null) || first=''
            if [ -n "$first" ] && [ "$first" != "$dir/oceanid" ]; then
                say "but \`oceanid\` is still $first, which comes first in PATH"
            fi
            ;;
        *)
            say "$dir is not in PATH yet; this adds it:"
            case ${SHELL##*/} in
                fish) say "    fish_add_path $dir" ;;
                zsh) say "    echo 'export PATH=\"$dir:\$PATH\"' >>~/.zshrc && . ~/.zshrc" ;;
                bash) say "    echo 'export PATH=\"$dir:\$PATH\"' >>~/.bashrc && . ~/.bashrc" ;;
                *) say "    export PATH=\"$dir:\$PATH\"" ;;
            esac
            ;;
    esac
    say 'next: oceanid init'
}

main() {
    set -eu
    umask 022
    export LC_ALL=C
    SHELL=${SHELL:-sh}
    base=${OCEANID_BASE_URL:-$releases}
    base=${base%/}
    case $base in
        https://*) ;;
        http://*) printf 'warning: `%s` is not encrypted: who is on the way can change what comes\n' "$base" >&2 ;;
        *) fail "\`$base\` is no address" '' '`OCEANID_BASE_URL` begins with `https://`' ;;
    esac
    find_target
    find_programs
    prepare_folder
    find_installed
    find_version
    if [ "$version" = "$installed" ]; then
        say "oceanid $version in $dir is up to date"
        tell_what_next
        return
    fi
    bring
    mv -f "$work/$stem/oceanid" "$dir/oceanid"
    if [ -n "$installed" ]; then
        say "oceanid $version is in $dir, in place of $installed"
    else
        say "oceanid $version is in $dir"
    fi
    tell_what_next
}

main </dev/null
