#!/bin/sh
# From epochs to classes: light curves, periods, features, a classifier, and stars it has never seen.
set -eu
cd "$(dirname "$0")/.."
UBSPARK_HOME=${UBSPARK_HOME:-$PWD/.ubspark}
export UBSPARK_HOME
work=$UBSPARK_HOME/variables
jobs=examples/variables

step() {
    printf '\n$' >&2
    for word in "$@"; do case $word in *' '*) printf ' "%s"' "$word" ;; *) printf ' %s' "$word" ;; esac; done >&2
    printf '\n' >&2
    "$@"
}

step python $jobs/prepare.py "$work"
step ubspark run $jobs/stars.yaml --set inputs.source.path="$work/stars.parquet"
step ubspark run $jobs/curves.yaml --set inputs.sources.path="$work/epochs.parquet"
step ubspark run $jobs/periods.yaml
step ubspark run $jobs/features.yaml
step ubspark run $jobs/train.yaml --set outputs.model.path="$work/model"
step ubspark run $jobs/classify.yaml
step python $jobs/report.py "$work"
step ubspark lineage asas_classes
