#!/bin/sh
# namespace.sh creates the Temporal namespace of Khronicle and its search attributes, where they are missing.
# It may run again at any time. The variables are TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and RETENTION, such as 72h.
set -eu

attempts() { # runs a command until it succeeds, for up to two minutes
  left=60
  until "$@"; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || return 1
    sleep 2
  done
}

attempts temporal operator cluster health
if ! temporal operator namespace describe >/dev/null 2>&1; then
  temporal operator namespace create --retention "$RETENTION"
fi
# The whole server needs some seconds to learn of a new namespace.
attempts temporal operator search-attribute create \
  --name KhCheck --type Keyword --name KhNamespace --type Keyword --name KhOutcome --type Keyword \
  --name KhRecord --type Keyword --name KhReported --type Keyword
