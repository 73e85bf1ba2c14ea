#!/usr/bin/env bash
# hermetic.sh [NAME=VALUE…] COMMAND [ARGUMENT…]: runs tests without the caller's settings of the product, Kubernetes,
# Temporal, PostgreSQL and Go. So tests have the same result whatever a shell has set. KHRONICLE_REQUIRE_ALL stays.
set -euo pipefail
for name in $(compgen -e); do
  case $name in
    KHRONICLE_REQUIRE_ALL) ;;
    KHRONICLE_* | KH_* | TARGET_NAMESPACE | POD_NAME | POD_NAMESPACE | CHECK_REAPER_RUN_INTERVAL | \
      KUBEBOX_* | KUBECONFIG | KUBERNETES_* | TEMPORAL_* | PG* | GOFLAGS) unset "$name" ;;
  esac
done
exec env GOFLAGS=-buildvcs=false "$@"
