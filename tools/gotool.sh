#!/usr/bin/env bash
# gotool.sh TOOL [ARGUMENT…]: runs a Go program of another module. It is built once for each version and kept in the
# user's cache. So no tool adds to the requirements of go.mod. `gotool.sh --build TOOL…` builds only.
set -euo pipefail
shopt -s inherit_errexit

# module prints what `go install` takes: each version stands here and nowhere else.
module() {
  case $1 in
    actionlint) echo github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 ;;
    controller-gen) echo sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0 ;;
    helm) echo helm.sh/helm/v3/cmd/helm@v3.22.0 ;;
    kubectl-validate) echo sigs.k8s.io/kubectl-validate@v0.0.4 ;;
    golangci-lint) echo github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 ;;
    govulncheck) echo golang.org/x/vuln/cmd/govulncheck@v1.1.4 ;;
    oapi-codegen) echo github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 ;;
    workflowcheck) echo go.temporal.io/sdk/contrib/tools/workflowcheck@v0.6.0 ;;
    *) echo "gotool.sh: unknown tool $1; add it to tools/gotool.sh" >&2; exit 2 ;;
  esac
}

# build prints the path of a tool, which it builds if the cache has none of this version.
build() {
  local tool=$1 program version cache out
  program=$(module "$tool")
  version=${program##*@}
  cache=${XDG_CACHE_HOME:-$HOME/.cache}/khronicle/tools
  out=$cache/$tool-$version-$(go env GOVERSION)
  mkdir -p "$cache"
  exec 9>"$cache/$tool.lock"
  flock 9
  if [ ! -x "$out/$tool" ]; then
    echo "$tool: building $version, once" >&2
    rm -rf "$out.new"
    if ! GOFLAGS=-buildvcs=false GOOS='' GOARCH='' GOBIN=$out.new go install -trimpath -ldflags='-s -w' "$program" 9>&- 2>"$cache/$tool.log"; then
      echo "$tool: $program cannot be had: $(grep -v '^go: downloading' "$cache/$tool.log" | tail -n 1 | sed 's,^[[:space:]]*,,') (all of it: $cache/$tool.log)" >&2
      exit 1
    fi
    rm -rf "$out" && mv "$out.new" "$out"
  fi
  flock -u 9
  echo "$out/$tool"
}

if [ "${1:-}" = --build ]; then
  shift
  for tool in "$@"; do build "$tool" >/dev/null; done
  exit
fi
tool=${1:?usage: gotool.sh TOOL [ARGUMENT…]}
shift
program=$(build "$tool")
exec "$program" "$@"
