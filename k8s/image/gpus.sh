#!/bin/bash
# Tells Spark which GPUs an executor has (spark.executor.resource.gpu.discoveryScript).
set -euo pipefail
addresses=$(nvidia-smi --query-gpu=index --format=csv,noheader | sed 's/.*/"&"/' | paste -sd,)
echo "{\"name\": \"gpu\", \"addresses\": [$addresses]}"
