#!/usr/bin/env python3
"""check.py tests that PERCENTILE percent of REQUESTS requests to CHECK_URL are answered within LIMIT_MS.

It needs Python's standard library alone. Replace check() by your own test.
"""

import http.client
import json
import math
import os
import sys
import threading
import time
import urllib.error
import urllib.request


def check():
    """Returns a text for each fault. An empty list is success."""
    url = os.environ.get("CHECK_URL", "")
    requests, percentile = number("REQUESTS", "20", 1000), number("PERCENTILE", "95", 100)
    limit = number("LIMIT_MS", "500", 60000)
    took = []
    for _ in range(requests):
        began = time.monotonic()
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                answer.read()
        except OSError as error:
            return [f"{url}: {error}"]
        took.append(1000 * (time.monotonic() - began))
    reached = sorted(took)[math.ceil(requests * percentile / 100) - 1]
    if reached > limit:
        return [f"{url}: {percentile} % of {requests} requests took up to {reached:.0f} ms, want {limit} ms or less"]
    return []


def number(name, default, most):
    text = os.environ.get(name, default)
    if not (text.isdecimal() and 1 <= int(text) <= most):
        raise ValueError(f'{name} is "{text}", want a whole number from 1 to {most}')
    return int(text)


def faults_until(end):
    """Runs check in a thread: whatever it hangs in, the report is sent in time. An exception is a fault."""
    faults = ["the check did not end before the deadline of its run"]

    def run():
        try:
            faults[:] = check()
        except Exception as error:
            faults[:] = [f"{type(error).__name__}: {error}"]

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(max(1, end - time.time()))
    return list(faults)


def deliver(report, end):
    """Posts a report until it is answered 200, or 400: it was refused, and would be refused again.

    It uses no proxy: HTTP_PROXY is for check(), and such a proxy seldom knows the names of the cluster.
    """
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    headers = {"kh-run-uuid": os.environ["KH_RUN_UUID"], "Content-Type": "application/json"}
    request = urllib.request.Request(os.environ["KH_REPORTING_URL"], report.encode(), headers)
    pause = 1
    while True:
        try:
            with direct.open(request, timeout=min(10, max(1, end - time.time()))) as answer:
                status = answer.status
        except urllib.error.HTTPError as error:
            status = error.code
        except (OSError, http.client.HTTPException) as error:
            status = error
        print("answer to the report:", status, file=sys.stderr, flush=True)
        if status in (200, 400):
            return True
        if time.time() + pause >= end:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 5)


if __name__ == "__main__":
    for name in ("KH_REPORTING_URL", "KH_RUN_UUID", "KH_CHECK_RUN_DEADLINE"):  # every checker pod has them
        if not os.environ.get(name):
            sys.exit(f"{name} is not set")
    deadline = int(os.environ["KH_CHECK_RUN_DEADLINE"])
    faults = faults_until(deadline - 5)  # the rest of the time is for the report
    report = json.dumps({"OK": not faults, "Errors": faults})
    print(report, flush=True)
    sys.exit(0 if deliver(report, min(time.time() + 30, deadline - 1)) else 1)
