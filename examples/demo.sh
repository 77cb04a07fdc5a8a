#!/bin/sh
# Hipparcos against Gaia DR3 on half of the sky: two ingests, one match, and where it all is.
set -eu
cd "$(dirname "$0")/.."
UBSPARK_HOME=${UBSPARK_HOME:-$PWD/.ubspark}
export UBSPARK_HOME

step() {
    printf '\n$' >&2
    for word in "$@"; do case $word in *' '*) printf ' "%s"' "$word" ;; *) printf ' %s' "$word" ;; esac; done >&2
    printf '\n' >&2
    "$@"
}

step ubspark ingest examples/data/hipparcos2.parquet hipparcos2 --id hip --epoch 1991.25 \
    --pmra pmra --pmdec pmdec --pm-cos-dec --parallax plx \
    --unit pmra=mas/yr --unit pmdec=mas/yr --unit plx=mas
step ubspark ingest examples/data/gaia_dr3_g10.parquet gaia_dr3 --id source_id --epoch ref_epoch
step ubspark run examples/hipparcos_gaia.yaml
step ubspark history hip_x_gaia
step ubspark show hip_x_gaia --limit 5 \
    --columns left_id,right_id,dist_arcsec,pa_deg,n_candidates,hpmag,phot_g_mean_mag
# The same job again: nothing is computed, the run that made it is named.
step ubspark run examples/hipparcos_gaia.yaml

cat >&2 <<END

Open the table in TOPCAT or astropy (an astropy Table with units; write it where you like):
  UBSPARK_HOME=$UBSPARK_HOME .venv/bin/python -c "import ubspark; ubspark.read_table('hip_x_gaia').write('hip_x_gaia.vot', format='votable')"
Look at the runs in a browser:
  .venv/bin/mlflow ui --backend-store-uri sqlite:///$UBSPARK_HOME/mlflow.db
END
