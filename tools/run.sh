#!/usr/bin/env bash
# run.sh: the demonstration. Starts kubebox (or uses the kubeconfig context CONTEXT), runs Khronicle with a Temporal
# server of its own, applies the examples and shows the checks until Ctrl-C, or for RUN_FOR; then exits 0 only if every
# example came out as expected. Everything that it started is ended again.
set -euo pipefail
cd "$(dirname "$0")/.."
state=$PWD/.state
port=${PORT:-8080} ui_port=${UI_PORT:-8233} temporal_port=${TEMPORAL_PORT:-7233}
export KUBEBOX_NAME=dev
mkdir -p "$state/run"
log=$state/run/khronicle.log
flags=()
pid=

finish() {
  trap - EXIT INT TERM
  if [ -n "$pid" ] && kill -TERM "$pid" 2>/dev/null; then wait "$pid" || true; fi
  rm -f "$state/run/khronicle.pid"
  [ -n "${CONTEXT:-}" ] || bin/kubebox down >/dev/null 2>&1 || true
}
trap finish EXIT
trap 'exit 130' INT TERM

step() { echo "==> $*" >&2; }
started=$(date -u +%Y-%m-%dT%H:%M:%SZ)
if [ -n "${CONTEXT:-}" ]; then
  flags+=(--context "$CONTEXT")
  kubectl=(bin/kubebox kubectl --kubeconfig "${KUBECONFIG:-$HOME/.kube/config}" --context "$CONTEXT")
  reporting_url=${KH_EXTERNAL_REPORTING_URL:?with CONTEXT, set it to the URL at which pods of that cluster reach this machine, such as http://192.0.2.7:$port/externalCheckStatus}
  listen=:$port
else
  step "starting Kubernetes"
  bin/kubebox up --port "${API_PORT:-16443}" >/dev/null
  KUBECONFIG=$(bin/kubebox kubeconfig)
  export KUBECONFIG
  kubectl=(bin/kubebox kubectl)
  step "loading the image of the checks"
  bin/kubebox load-image khronicle/khcheck:dev bin/khcheck >/dev/null
  bin/kubebox expose "$port" >/dev/null
  reporting_url=http://host.kubebox:$port/externalCheckStatus
  listen=127.0.0.1:$port
fi
step "applying the custom resources"
"${kubectl[@]}" apply --server-side --force-conflicts -k deploy/crds >/dev/null
"${kubectl[@]}" wait --for=condition=Established --timeout=30s crd/kh{checks,jobs,states}.comcast.github.io >/dev/null

step "starting Temporal and Khronicle (log: ${log#"$PWD"/})"
bin/khronicle dev "${flags[@]}" --listen "$listen" --show-evidence --reporting-url "$reporting_url" --state-dir "$state/temporal" \
  --temporal-port "$temporal_port" --temporal-ui-port "$ui_port" >"$log" 2>&1 &
pid=$!
echo "$pid" >"$state/run/khronicle.pid"
for ((i = 0; ; i++)); do
  if kill -0 "$pid" 2>/dev/null && curl -sf -o /dev/null "http://127.0.0.1:$port/readyz"; then break; fi
  if ! kill -0 "$pid" 2>/dev/null || [ "$i" -ge 300 ]; then
    echo "Khronicle did not become ready; the end of its log:" >&2
    tail -n 5 "$log" >&2
    exit 1
  fi
  sleep 0.2
done

expect=()
if [ -z "${CONTEXT:-}" ] || [ -n "${EXAMPLES:-}" ]; then
  step "applying the examples"
  "${kubectl[@]}" -n khronicle-examples delete khjob once --ignore-not-found >/dev/null
  "${kubectl[@]}" apply -k examples >/dev/null
  for name in http dns pod-status once; do expect+=(--expect "khronicle-examples/$name=ok"); done
  expect+=(--expect "khronicle-examples/failing=failed:this check fails on purpose")
fi
[ -n "${RUN_FOR:-}" ] || expect=()
status=0
TEMPORAL_ADDRESS=127.0.0.1:$temporal_port bin/khronicle watch "${flags[@]}" --log-level error --for "${RUN_FOR:-0s}" \
  --since "$started" "${expect[@]}" \
  --footer "" --footer "status page  http://127.0.0.1:$port/    metrics  http://127.0.0.1:$port/metrics" \
  --footer "Temporal UI  http://127.0.0.1:$ui_port/namespaces/default/workflows" || status=$?
exit "$status"
