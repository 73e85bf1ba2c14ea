#!/usr/bin/env bash
# generated.sh: runs the generators and fails if they changed a file. It compares with copies made before, not with the
# last commit, so that other changes of the tree do not matter.
set -euo pipefail
cd "$(dirname "$0")/.."
generated=(api/v1/zz_generated.deepcopy.go deploy/crds deploy/manifests deploy/chart/files/temporal.args internal/lint/schema.json external/apiclient/client.gen.go reportapi/rest/server.gen.go docs/api-reference.md deploy/dashboards)
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
cp -r --parents "${generated[@]}" "$before"
make --no-print-directory generate >"$before/log" 2>&1 || { cat "$before/log" >&2; exit 1; }
changed=()
for path in "${generated[@]}"; do diff -rq "$before/$path" "$path" >/dev/null || changed+=("$path"); done
if [ ${#changed[@]} -gt 0 ]; then
  echo "generated files were out of date, and are right now: commit ${changed[*]}" >&2
  exit 1
fi
