#!/bin/sh
# Start a one-node cluster, build the image (with object stores) into it, run the tests on Kubernetes,
# take all down again.
# test_on_lab.sh LAB, a program that knows `up`, `image DOCKERFILE CONTEXT TAG`, `env` and `down`.
set -eu
cd "$(dirname "$0")/.."
lab=$1
trap '"$lab" down' EXIT
trap 'exit 1' INT TERM
# A cluster that a stopped machine left half there is cleared away first.
"$lab" up || { "$lab" down && "$lab" up; }
environment=$("$lab" env)
eval "$environment"
mkdir -p dist
started=$(date +%s)
make image S3=1 IMAGE=localhost/ubspark:ci BUILD_IMAGE="$lab image" >dist/image.log 2>&1 || {
    tail -n 40 dist/image.log
    exit 1
}
took=$(($(date +%s) - started))
# The store of the lab's builder; another one may keep images elsewhere.
size=$(STORAGE_DRIVER=overlay buildah images --format '{{.Size}}' localhost/ubspark:ci 2>/dev/null || true)
echo "Image of ${size:-unknown size} built and loaded in $took s, $(du -sm dist/image | cut -f1) MB of context."
UBSPARK_K8S_CRDS=$(dirname "$lab")/crd make test-k8s
