#!/bin/sh
# Build the S3 server that the tests run against (Versity S3 Gateway, Apache-2.0) where Go is there; without Go the
# tests use moto's server alone. Prints the path of the binary.
set -eu
version=v1.8.0
cache=${WBD_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/wbd}
target=$cache/versitygw-$version
[ -x "$target/versitygw" ] && { echo "$target/versitygw"; exit 0; }
command -v go >/dev/null 2>&1 || { echo "wbd: no go; the tests use moto as their S3 server" >&2; exit 0; }
mkdir -p "$target"
echo "wbd: building the S3 server of the tests, a few minutes the first time" >&2
if ! GOBIN="$target" GOTOOLCHAIN=local go install "github.com/versity/versitygw/cmd/versitygw@$version" >"$target/build.log" 2>&1; then
    echo "wbd: could not build it ($(tail -n 1 "$target/build.log")); the tests use moto as their S3 server" >&2
    exit 0
fi
echo "$target/versitygw"
