#!/usr/bin/env bash
# lint.sh MODULE@VERSION ARGS...: runs a Go program of another module, built once and kept in the user's cache.
set -euo pipefail
program=$1
shift
key=$( { go version; echo "$program"; } | sha256sum | cut -c1-16)
out=${XDG_CACHE_HOME:-$HOME/.cache}/khronicle/lint-$key
if [ ! -d "$out" ]; then
  echo "building $program, once" >&2
  rm -rf "$out.new"
  GOBIN=$out.new go install "$program"
  mv "$out.new" "$out"
fi
exec "$out"/* "$@"
