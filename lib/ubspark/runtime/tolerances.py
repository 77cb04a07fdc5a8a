"""How far the numbers of a replay may lie from the original for the two to count as equivalent."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ubspark.catalogs.delta import open_table
from ubspark.errors import ParameterError, UbsparkError
from ubspark.features.out_of_fold import OUT_OF_FOLD_FILE
from ubspark.lineage.comparison import Tolerance, is_comparable
from ubspark.lineage.entities import Made

__all__ = ["find_tolerances", "validate_tolerances"]

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


def validate_tolerances(given: Iterable[str], outputs: Mapping[str, Made]) -> None:
    """Refuse tolerances of columns that no output has, or that hold no numbers.

    What cannot be read now is not asked.

    Raises
    ------
    ParameterError
        Naming the first.
    """
    schemas = [schema for schema in map(_read_schema, outputs.values()) if schema is not None]
    if not schemas:
        return
    for name in given:
        types = [schema.field(name).type for schema in schemas if name in schema.names]
        if not types:
            known = ", ".join(dict.fromkeys(column for s in schemas for column in s.names))
            msg = (
                f"`--tolerance` names the column `{name}`, which the run did not make. It made: "
                f"{known or 'files, which are compared byte by byte'}."
            )
            raise ParameterError(msg)
        if not any(is_comparable(dtype) for dtype in types):
            msg = (
                f"`--tolerance` is for columns of numbers, or lists of them; `{name}` is of type "
                f"{types[0]}, and must be the same."
            )
            raise ParameterError(msg)


def _read_schema(made: Made) -> pa.Schema | None:
    """Return the columns that are compared of an output; none of an export."""
    try:
        if made.entity.kind == "delta":
            table = open_table(made.entity.uri, version=made.entity.version)
            return table.schema.to_arrow()
        rows = Path(made.entity.uri) / OUT_OF_FOLD_FILE
        return pq.read_schema(rows) if rows.is_file() else pa.schema([])
    except (UbsparkError, pa.ArrowException, OSError):
        return None
