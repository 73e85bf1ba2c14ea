#!/usr/bin/env bash
# ready.sh [--check]: makes this folder ready for the tests in the browser. It installs Chromium (Debian) and the modules of
# package-lock.json, where they are missing. With --check it only says what is missing, and fails.
set -euo pipefail
cd "$(dirname "$0")"
missing() { echo "missing: $*" >&2; exit 1; }

major=$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/') || true
[ "${major:-0}" -ge 20 ] || missing "Node.js 20 or later (https://nodejs.org); this is ${major:+version }${major:-none}"
if ! command -v chromium >/dev/null; then
  [ $# = 0 ] || missing "Chromium (Debian package chromium)"
  ../../tools/packages.sh chromium fonts-liberation
fi
# npm writes this file last.
if ! cmp -s package-lock.json node_modules/.installed; then
  [ $# = 0 ] || missing "the modules of test/browser/package-lock.json"
  command -v npm >/dev/null || missing "npm (https://nodejs.org)"
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
  cp package-lock.json node_modules/.installed
fi
