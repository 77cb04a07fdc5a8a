#!/bin/bash
# Run by Kubernetes before it stops an executor (spark.kubernetes.decommission.script): asks it to
# hand over its blocks, and waits until it has gone or the grace period of the pod ends.
set -u
executor=$(pgrep -o java) || exit 0
kill -s SIGPWR "$executor"
while kill -0 "$executor" 2>/dev/null; do sleep 1; done
