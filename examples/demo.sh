#!/bin/sh
# Hipparcos against Gaia DR3 on half of the sky: two ingests, one match, and where it all is.
set -eu
cd "$(dirname "$0")/.."
UBSPARK_HOME=${UBSPARK_HOME:-$PWD/.ubspark}
export UBSPARK_HOME

step() { printf '\n$ %s\n' "$*" >&2; "$@"; }

step ubspark ingest examples/data/hipparcos2.parquet hipparcos2 --id hip --epoch 1991.25 \
    --pmra pmra --pmdec pmdec --pm-cos-dec --parallax plx \
    --unit pmra=mas/yr --unit pmdec=mas/yr --unit plx=mas
step ubspark ingest examples/data/gaia_dr3_g10.parquet gaia_dr3 --id source_id --epoch ref_epoch
step ubspark run examples/hipparcos_gaia.yaml
step ubspark show hip_x_gaia --limit 5 \
    --columns left_id,right_id,dist_arcsec,pa_deg,n_candidates,phot_g_mean_mag
step ubspark history hip_x_gaia

cat >&2 <<END

The home folder is $UBSPARK_HOME
For TOPCAT or astropy (it is an astropy Table, with units):
  .venv/bin/python -c "import ubspark; ubspark.read_table('hip_x_gaia').write('hip_x_gaia.vot', format='votable')"
Look at the runs in a browser:
  mlflow ui --backend-store-uri sqlite:///$UBSPARK_HOME/mlflow.db
END
