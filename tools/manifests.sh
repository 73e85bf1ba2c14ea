#!/usr/bin/env bash
# manifests.sh: renders deploy/manifests from the chart, for those who use no Helm. What only Helm reads is left out.
set -euo pipefail
cd "$(dirname "$0")/.."
render() {
  tools/gotool.sh helm template khronicle deploy/chart --kube-version 1.30 --namespace kuberhealthy --set mode=ha --set image.tag=dev \
    --set temporal.address=temporal-frontend.temporal.svc.cluster.local:7233 --show-only "templates/$1.yaml" 2>/dev/null \
    | grep -v -e '^# Source: ' -e 'helm.sh/chart: ' -e 'app.kubernetes.io/managed-by: ' -e 'app.kubernetes.io/version: ' \
    | sed '1{/^---$/d}' >"deploy/manifests/$1.yaml"
}
for file in configmap worker starter reportapi; do render "$file"; done
