#!/bin/sh
# Check the format of every C file that git tracks; $1 is the clang-format to use.
set -eu
files=$(git ls-files '*.c' '*.h')
[ -z "$files" ] || "$1" --dry-run --Werror $files
