#!/bin/sh
# Install the Debian packages that are missing, or say in one line what to install.
#   install-packages.sh python    what the virtual environment needs
#   install-packages.sh           what the embedded engines and the tests need
set -eu

packages=
need() { packages="$packages $*"; }
has() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }

if [ "${1:-}" = python ]; then
    has python3 || need python3
    python3 -c 'import ensurepip' 2>/dev/null || need python3-venv
    has gcc || need gcc libc6-dev
    [ -e "$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))' 2>/dev/null)/Python.h" ] || need python3-dev
else
    has mariadbd || need mariadb-server-core
    { has mariadb-install-db && has my_print_defaults; } || need mariadb-server-core mariadb-client-core
    has java || need default-jre-headless
    has mvn || need maven
    has redis-cli || need redis-tools
    has curl || need curl
    has jq || need jq
fi

[ -n "$packages" ] || exit 0
if [ "$(id -u)" = 0 ]; then
    as_root=
elif has sudo && sudo -n true 2>/dev/null; then
    as_root=sudo
else
    echo "wbd: packages missing; install them as root with: apt-get install --no-install-recommends$packages" >&2
    exit 1
fi
echo "wbd: installing$packages"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086  # the list is words
if ! { $as_root apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $packages; } >"$log" 2>&1; then
    cat "$log" >&2
    echo "wbd: could not install$packages" >&2
    exit 1
fi
