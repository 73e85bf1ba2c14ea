#!/bin/sh
# check.sh tests that CHECK_URL answers without an HTTP error within TIMEOUT_SECONDS, and that the answer contains TARGET_STRING.
# It needs a POSIX shell, awk and curl, and no library. Replace check() by your own test.
set -u
: "${KH_REPORTING_URL:?}" "${KH_RUN_UUID:?}" "${KH_CHECK_RUN_DEADLINE:?}" # every checker pod has them
CHECK_URL=${CHECK_URL:-} TIMEOUT_SECONDS=${TIMEOUT_SECONDS:-10} TARGET_STRING=${TARGET_STRING:-}
errors= # JSON strings, separated by commas

# check calls fault once for each thing that is wrong.
check() {
  case $TIMEOUT_SECONDS in
    *[!0-9]*) fault "TIMEOUT_SECONDS is \"$TIMEOUT_SECONDS\", want a number of seconds"; return ;;
  esac
  limit=$((KH_CHECK_RUN_DEADLINE - 5 - $(date +%s))) # the rest of the time is for the report
  [ "$limit" -lt "$TIMEOUT_SECONDS" ] || limit=$TIMEOUT_SECONDS
  [ "$limit" -ge 1 ] || limit=1
  if ! answer=$(curl -sS --fail --location --max-time "$limit" --url "$CHECK_URL" 2>&1); then
    fault "$CHECK_URL: ${answer##*curl: }"
    return
  fi
  case $answer in
    *"$TARGET_STRING"*) ;;
    *) fault "$CHECK_URL: the answer lacks \"$TARGET_STRING\"; it begins: $(printf '%.100s' "$answer")" ;;
  esac
}

fault() { errors=$errors${errors:+,}$(json_string "$1"); }

# json_string writes a text as JSON. Bytes above 127 stay as they are, because a report is UTF-8.
# Khronicle shows bytes that are not UTF-8 as �.
json_string() {
  printf '%s\n' "$1" | LC_ALL=C awk '
    BEGIN { for (i = 1; i < 32; i++) escaped[sprintf("%c", i)] = sprintf("\\u%04x", i)
            escaped["\""] = "\\\""; escaped["\\"] = "\\\\"; printf "\"" }
    NR > 1 { printf "\\n" }
    { for (i = 1; i <= length($0); i++) { c = substr($0, i, 1); printf "%s", (c in escaped) ? escaped[c] : c } }
    END { printf "\"" }'
}

# deliver posts a report, again and again for 30 seconds or until just before the deadline. It stops at 400 too, because
# the report would be refused again. The header comes by stdin, so that no list of processes shows it.
# It uses no proxy: http_proxy is for check, and such a proxy seldom knows the names of the cluster.
deliver() {
  end=$(($(date +%s) + 30)) pause=1
  [ "$end" -lt $((KH_CHECK_RUN_DEADLINE - 2)) ] || end=$((KH_CHECK_RUN_DEADLINE - 2))
  while :; do
    limit=$((end - $(date +%s)))
    [ "$limit" -le 10 ] || limit=10
    [ "$limit" -ge 1 ] || limit=1
    status=$(printf 'kh-run-uuid: %s\n' "$KH_RUN_UUID" | curl -sS --noproxy '*' --output /dev/null --write-out '%{http_code}' \
      --max-time "$limit" --header @- --header 'Content-Type: application/json' --data-binary "$1" "$KH_REPORTING_URL")
    echo "answer to the report: $status" >&2 # 000 is no answer
    case $status in 200 | 400) return 0 ;; esac
    [ $(($(date +%s) + pause)) -lt "$end" ] || return 1
    sleep "$pause"
    pause=$((pause < 3 ? pause * 2 : 5))
  done
}

check
if [ -z "$errors" ]; then report='{"OK":true,"Errors":[]}'; else report="{\"OK\":false,\"Errors\":[$errors]}"; fi
printf '%s\n' "$report"
deliver "$report"
