"""How far the numbers of a replay may lie from the original for the two to count as equivalent."""

from collections.abc import Mapping

import pyarrow as pa

from ubspark.lineage.comparison import Tolerance

__all__ = ["find_tolerances"]

#: Rounding of one operation or two, by type; what kernels sum up in another order stays below.
_BY_TYPE: Mapping[pa.DataType, Tolerance] = {
    pa.float32(): Tolerance(relative=1e-5),
    pa.float64(): Tolerance(relative=1e-9),
}
_ANGLE = Tolerance(1e-6, 1e-9, turn=360.0)
#: Where the type alone says too little. Columns of a job, by name.
_BY_JOB: Mapping[str, Mapping[str, Tolerance]] = {
    # Values near 0 have no relative accuracy: 1e-9 arcsec is what the kernel is good to.
    "crossmatch": {"dist_arcsec": Tolerance(1e-9, 1e-9), "pa_deg": _ANGLE},
    "neighbors": {"dist_arcsec": Tolerance(1e-9, 1e-9), "pa_deg": _ANGLE},
    "multimatch": {},
    "periodograms": {},
}
#: The same for columns that are named by band: a phase, too, may be near 0, or 1.
_BY_PREFIX: Mapping[tuple[str, str], Tolerance] = {
    ("periodograms", "phase_"): Tolerance(1e-5, 1e-5, turn=1.0),
}
#: Jobs that copy numbers as they stand.
_COPIES = frozenset({"ingest", "idjoin"})


def find_tolerances(job: str, schema: pa.Schema) -> dict[str, Tolerance]:
    """Return the tolerance of each column of floating-point numbers, or lists of them."""
    if job in _COPIES:
        return {}
    found = {}
    for field in schema:
        dtype = field.type
        if pa.types.is_list(dtype) or pa.types.is_large_list(dtype):
            dtype = dtype.value_type
        if dtype in _BY_TYPE:
            known = _BY_JOB.get(job, {}).get(field.name, _BY_TYPE[dtype])
            prefix = field.name.partition("_")[0] + "_"
            found[field.name] = _BY_PREFIX.get((job, prefix), known)
    return found
