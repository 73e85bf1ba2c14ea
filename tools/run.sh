#!/usr/bin/env bash
# run.sh: the demonstration. Starts kubebox (or uses the kubeconfig context CONTEXT), runs Khronicle with a Temporal
# server of its own, applies the examples and shows the checks until Ctrl-C, or for RUN_FOR. After RUN_FOR it exits 0 only
# if every example came out as expected. Everything that it started is ended again.
set -euo pipefail
cd "$(dirname "$0")/.."
state=$PWD/.state
port=${PORT:-8080} ui_port=${UI_PORT:-8233} temporal_port=${TEMPORAL_PORT:-7233}
export KUBEBOX_NAME=dev
mkdir -p "$state/run"
log=$state/run/khronicle.log
flags=()
pid= clock=
export LC_ALL=C # times are compared as texts

finish() {
  trap - EXIT INT TERM
  [ -z "$clock" ] || kill "$clock" 2>/dev/null || true
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

# get prints what the REST API has.
get() { bin/khronicle get --server "http://127.0.0.1:$port" "$@"; }

# expect CHECK STATE [ERROR]: the check has an outcome since the start, this state, and this text in its errors.
expect() {
  local state ended errors
  IFS='|' read -r state ended errors < <(get "$1" -o 'jsonpath={.items[0].state}|{.items[0].lastRun.concludedAt}|{.items[0].errors}{"\n"}') || true
  if [ "$state" = "$2" ] && [[ ! "$ended" < "$started" && "$errors" == *"${3:-}"* ]]; then return; fi
  echo "$1: expected $2${3:+ with the error \"$3\"} after $started, but it is ${state:-not there}, last run ${ended:--}, errors ${errors:--}" >&2
  return 1
}

expected=()
if [ -z "${CONTEXT:-}" ] || [ -n "${EXAMPLES:-}" ]; then
  step "applying the examples"
  "${kubectl[@]}" -n khronicle-examples delete khjob once --ignore-not-found >/dev/null
  "${kubectl[@]}" apply -k examples >/dev/null
  expected=("http healthy" "dns healthy" "pod-status healthy" "once healthy" "failing failing this check fails on purpose")
fi

show() {
  get -A
  printf '\n%s\n%s\n' "status page  http://127.0.0.1:$port/    metrics  http://127.0.0.1:$port/metrics" \
    "Temporal UI  http://127.0.0.1:$ui_port/namespaces/default/workflows"
}

# On a terminal, each table takes the place of the one before. Elsewhere only the last one is written.
sleep "${RUN_FOR:-infinity}" &
clock=$!
if [ -t 1 ]; then
  while kill -0 "$clock" 2>/dev/null; do
    page=$(show 2>&1) || true
    printf '\033[H\033[2J%s\n' "$page"
    sleep 1
  done
else
  wait "$clock"
  show
fi
status=0
for one in "${expected[@]}"; do
  read -r name state error <<<"$one"
  expect "khronicle-examples/$name" "$state" "$error" || status=1
done
exit "$status"
