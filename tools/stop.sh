#!/usr/bin/env bash
# stop.sh: ends the Khronicle that a killed run.sh left running. Never ends a stranger that got the pid later.
set -euo pipefail
cd "$(dirname "$0")/.."
file=.state/run/khronicle.pid
[ -f "$file" ] || exit 0
pid=$(cat "$file")
if [ "$(readlink "/proc/$pid/exe" 2>/dev/null)" = "$PWD/bin/khronicle" ]; then kill -TERM "$pid"; fi
rm -f "$file"
