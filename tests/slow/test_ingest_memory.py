"""Sources larger than memory: 20 million rows in under 4 GB, all processes together."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from ubspark.catalogs.delta import open_table

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

N_ROWS = 20_000_000
CHUNK = 1_000_000
LIMIT_BYTES = 4e9
FITS_BLOCK = 2880


def make_chunks() -> Iterator[pa.Table]:
    """Yield the rows of an unsorted all-sky catalog, a million at a time."""
    rng = np.random.default_rng(20)
    for start in range(0, N_ROWS, CHUNK):
        magnitudes = rng.normal(18.0, 2.0, (5, CHUNK)).astype(np.float32)
        columns = {
            "id": np.arange(start, start + CHUNK, dtype=np.int64),
            "ra": rng.uniform(0.0, 360.0, CHUNK),
            "dec": np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, CHUNK))),
            "pmra": rng.normal(0.0, 5.0, CHUNK),
            "pmdec": rng.normal(0.0, 5.0, CHUNK),
        }
        bands = {f"mag_{band}": values for band, values in zip("grizy", magnitudes, strict=True)}
        yield pa.table(columns | bands)


def write_parquet(path: Path) -> None:
    writer = None
    for chunk in make_chunks():
        writer = writer or pq.ParquetWriter(path, chunk.schema)
        writer.write_table(chunk, row_group_size=250_000)
    writer.close()


def write_csv(path: Path) -> None:
    writer = None
    for chunk in make_chunks():
        writer = writer or pyarrow.csv.CSVWriter(path, chunk.schema)
        writer.write_table(chunk)
    writer.close()


def write_fits(path: Path) -> None:
    """Write a binary table piece by piece, with a header made by hand."""
    formats = {"int64": ("K", ">i8"), "double": ("D", ">f8"), "float": ("E", ">f4")}
    chunks = make_chunks()
    first = next(chunks)
    fields = [(f.name, *formats[str(f.type)]) for f in first.schema]
    record = np.dtype([(name, kind) for name, _, kind in fields])
    primary = ["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0", "EXTEND  = T"]
    table = ["XTENSION= 'BINTABLE'", "BITPIX  = 8", "NAXIS   = 2"]
    table += [f"NAXIS1  = {record.itemsize}", f"NAXIS2  = {N_ROWS}", "PCOUNT  = 0", "GCOUNT  = 1"]
    table += [f"TFIELDS = {len(fields)}"]
    for number, (name, letter, _) in enumerate(fields, 1):
        table += [f"TTYPE{number:<3}= '{name:<8}'", f"TFORM{number:<3}= '1{letter}      '"]
    with path.open("wb") as file:
        for cards in (primary, table):
            text = "".join(card.ljust(80) for card in [*cards, "END"])
            file.write(text.ljust(-(-len(text) // FITS_BLOCK) * FITS_BLOCK).encode())
        for chunk in [first, *chunks]:
            rows = np.empty(len(chunk), dtype=record)
            for name, _, _ in fields:
                rows[name] = chunk[name].to_numpy()
            file.write(rows.tobytes())
        file.write(b"\0" * (-N_ROWS * record.itemsize % FITS_BLOCK))


WRITERS = {"parquet": write_parquet, "csv": write_csv, "fits": write_fits}


@pytest.mark.parametrize("form", WRITERS)
def test_twenty_million_rows_in_four_gigabytes(form: str, tmp_path: Path) -> None:
    source = tmp_path / f"big.{form}"
    WRITERS[form](source)
    command = [sys.executable, "-m", "ubspark", "ingest", str(source), "big", "--id", "id"]
    environment = {**os.environ, "UBSPARK_HOME": str(tmp_path / "home")}
    started = time.monotonic()
    job = subprocess.Popen(command, env=environment)
    peak = watch_memory(job.pid)
    seconds = time.monotonic() - started
    assert job.wait() == 0
    size = source.stat().st_size
    print(f"{form}: {size / 1e9:.2f} GB, peak {peak / 1e9:.2f} GB, {seconds:.0f} s")
    table = open_table(str(tmp_path / "home" / "warehouse" / "big"))
    assert table.n_rows == N_ROWS
    assert peak < LIMIT_BYTES
    layout = table.read_layout()
    assert np.all(layout.low[1:] >= layout.high[:-1]), "files overlap on the sky"


def watch_memory(pid: int) -> float:
    """Return the largest memory of a process and all its children, shared pages counted once."""
    peak = 0.0
    top = psutil.Process(pid)
    while top.is_running() and top.status() != psutil.STATUS_ZOMBIE:
        total = 0
        try:
            for process in [top, *top.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
        except psutil.NoSuchProcess:
            break
        peak = max(peak, float(total))
        time.sleep(1.0)
    return peak
