#!/usr/bin/env bash
# build.sh kubebox|temporal: puts a heavy tool into ./bin, built once for each version of its sources and of Go, and kept
# in the user's cache for other clones. Shows its progress.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=$1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/khronicle
temporal_version=v1.5.1
mkdir -p bin "$cache"

say() { echo "$tool: $*" >&2; }

# progress counts the packages that `go build -v` names.
progress() {
  awk -v tool="$tool" 'BEGIN { start = systime(); next_at = start + 20 }
    /^[a-z0-9.\/_-]+$/ { n++; if (systime() >= next_at) { printf "%s: %d packages compiled after %d s\n", tool, n, systime() - start; fflush(); next_at = systime() + 20 }; next }
    /^go: downloading/ { next }
    { print tool ": " $0; fflush() }' >&2
}

build_kubebox() {
  local p=k8s.io/component-base/version version
  version=$(awk '$1 == "k8s.io/kubernetes" { print $2 }' tools/kubebox/go.mod)
  CGO_ENABLED=0 go build -C tools/kubebox -v -trimpath -o "$1/kubebox" -ldflags "-s -w -X $p.gitVersion=$version \
    -X $p.gitMajor=$(cut -d. -f1 <<<"${version#v}") -X $p.gitMinor=$(cut -d. -f2 <<<"$version") \
    -X $p.gitCommit=kubebox -X $p.gitTreeState=clean -X $p.buildDate=2026-01-01T00:00:00Z" . 2> >(progress)
  CGO_ENABLED=0 go build -C tools/kubebox -trimpath -ldflags '-s -w' -o "$1/kubebox-pause" ./pause
}

build_temporal() {
  if found=$(command -v temporal); then
    say "using $found"
    ln -sf "$found" "$1/temporal"
    return
  fi
  GOBIN=$1 go install -v -ldflags '-s -w' "github.com/temporalio/cli/cmd/temporal@$temporal_version" 2> >(progress)
}

case $tool in
  kubebox) sources=$(find tools/kubebox \( -name '*.go' ! -name '*_test.go' -o -name go.mod -o -name go.sum \) -print0 | sort -z | xargs -0 sha256sum) ;;
  temporal) sources="$temporal_version $(command -v temporal || true)" ;;
  *) echo "usage: build.sh kubebox|temporal" >&2; exit 2 ;;
esac
key=$( { go version; cat "$0"; echo "$sources"; } | sha256sum | cut -c1-16)
out=$cache/$tool-$key
exec 9>"$cache/$tool.lock"
flock 9
if [ ! -d "$out" ]; then
  say "building; on two cores this takes about $( [ "$tool" = kubebox ] && echo 15 || echo 6 ) minutes, once"
  rm -rf "$out.new" && mkdir "$out.new"
  "build_$tool" "$out.new"
  mv "$out.new" "$out"
  say "built"
fi
for file in "$out"/*; do
  cmp -s "$file" "bin/$(basename "$file")" || { rm -f "bin/$(basename "$file")"; ln "$file" bin/ 2>/dev/null || cp "$file" bin/; }
done
