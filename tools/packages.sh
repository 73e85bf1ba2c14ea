#!/usr/bin/env bash
# packages.sh [PACKAGE…]: installs the Debian packages that kubebox and run.sh need, and those named, where they are
# missing, or says what is missing.
set -euo pipefail
packages=(containerd runc containernetworking-plugins iptables nftables curl "$@")
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
  echo "missing: ${missing[*]} (install these packages, or run as root on Debian, where this is done for you)" >&2
  exit 1
fi
echo "installing ${missing[*]}" >&2
apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
