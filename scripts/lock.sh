#!/bin/sh
# Write the lock files: what runs, what develops it, what builds its pages. Needs uv on the PATH.
set -eu
cd "$(dirname "$0")/.."

compile() {
    out=requirements/$1.lock
    shift
    uv pip compile pyproject.toml "$@" --universal --generate-hashes --python-version 3.11 \
        --no-emit-index-url --no-emit-find-links --no-header --quiet --output-file "$out"
}
compile runtime
compile dev --group dev -c requirements/runtime.lock
compile docs --group docs -c requirements/dev.lock
