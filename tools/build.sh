#!/usr/bin/env bash
# build.sh kubebox|temporal|temporal-linux-ARCH|temporal-server|kwok|promtool: puts a heavy tool into ./bin, built once for each version of its sources
# and of Go, and kept in the user's cache for other clones. Shows its progress.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=$1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/khronicle
temporal_version=v1.5.1        # of the CLI
temporal_server_version=v1.32.1 # that of docker-compose.yml
kwok_version=v0.8.0
promtool_version=v0.316.0 # Prometheus 3.16.0
mkdir -p bin "$cache"

say() { echo "$tool: $*" >&2; }

# progress counts the packages that `go build -v` names.
progress() {
  awk -v tool="$tool" 'BEGIN { start = systime(); next_at = start + 20 }
    /^[A-Za-z0-9.\/_-]+$/ { n++; if (systime() >= next_at) { printf "%s: %d packages compiled after %d s\n", tool, n, systime() - start; fflush(); next_at = systime() + 20 }; next }
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
  CGO_ENABLED=0 GOBIN=$1 go install -v -trimpath -ldflags "-s -w -X github.com/temporalio/cli/temporalcli.Version=${temporal_version#v}" \
    "github.com/temporalio/cli/cmd/temporal@$temporal_version" 2> >(progress)
}

# The CLI for an image. `go install` refuses GOBIN for another platform, so GOPATH says where it goes.
build_temporal-linux() {
  local gopath=$1/gopath modules
  modules=$(go env GOMODCACHE)
  CGO_ENABLED=0 GOOS=linux GOARCH=${tool##*-} GOPATH=$gopath GOMODCACHE=$modules go install -v -trimpath \
    -ldflags "-s -w -X github.com/temporalio/cli/temporalcli.Version=${temporal_version#v}" "github.com/temporalio/cli/cmd/temporal@$temporal_version" 2> >(progress)
  find "$gopath/bin" -name temporal -type f -exec mv {} "$1/$tool" \;
  rm -rf "$gopath"
}
build_temporal-linux-amd64() { build_temporal-linux "$1"; }
build_temporal-linux-arm64() { build_temporal-linux "$1"; }

# The stock server, and what makes its databases.
build_temporal-server() {
  local module=go.temporal.io/server/cmd
  CGO_ENABLED=0 GOBIN=$1 go install -v -ldflags '-s -w' "$module/server@$temporal_server_version" \
    "$module/tools/sql@$temporal_server_version" 2> >(progress)
  mv "$1/server" "$1/temporal-server"
  mv "$1/sql" "$1/temporal-sql-tool"
}

build_kwok() {
  CGO_ENABLED=0 GOBIN=$1 go install -v -ldflags '-s -w' "sigs.k8s.io/kwok/cmd/kwok@$kwok_version" 2> >(progress)
}

# Without service discovery, which only loads configuration files: that leaves out the SDKs of all clouds.
build_promtool() {
  CGO_ENABLED=0 GOBIN=$1 go install -v -tags remove_all_sd -ldflags '-s -w' \
    "github.com/prometheus/prometheus/cmd/promtool@$promtool_version" 2> >(progress)
}

minutes=4
case $tool in
  kubebox) minutes=15 sources=$(find tools/kubebox \( -name '*.go' ! -name '*_test.go' -o -name go.mod -o -name go.sum \) -print0 | sort -z | xargs -0 sha256sum) ;;
  temporal) minutes=6 sources="$temporal_version $(command -v temporal || true)" ;;
  temporal-linux-amd64 | temporal-linux-arm64) minutes=6 sources="$temporal_version $(declare -f build_temporal-linux)" ;;
  temporal-server) minutes=8 sources=$temporal_server_version ;;
  kwok) sources=$kwok_version ;;
  promtool) sources=$promtool_version ;;
  *) echo "usage: build.sh kubebox|temporal|temporal-linux-amd64|temporal-linux-arm64|temporal-server|kwok|promtool" >&2; exit 2 ;;
esac
# How one tool is built changes no other: its own function is in the key, not this file.
key=$( { go version; declare -f "build_$tool"; echo "$sources"; } | sha256sum | cut -c1-16)
out=$cache/$tool-$key
exec 9>"$cache/$tool.lock"
flock 9
if [ ! -d "$out" ]; then
  say "building; on two cores this takes about $minutes minutes, once"
  rm -rf "$out.new" && mkdir "$out.new"
  "build_$tool" "$out.new"
  mv "$out.new" "$out"
  say "built"
fi
for file in "$out"/*; do
  cmp -s "$file" "bin/$(basename "$file")" || { rm -f "bin/$(basename "$file")"; ln "$file" bin/ 2>/dev/null || cp "$file" bin/; }
done
