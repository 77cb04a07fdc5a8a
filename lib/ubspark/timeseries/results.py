"""What a period search returns for each object, with units and meanings."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ubspark.columns import Column
from ubspark.timeseries.kernels.harmonics import MAX_HARMONICS

__all__ = [
    "BAND_COLUMNS",
    "LIST_COLUMNS",
    "PERIOD_COLUMNS",
    "POWER_COLUMNS",
    "Periods",
    "Status",
]


class Status(IntEnum):
    """Whether an object was searched, and why not."""

    OK = 0
    """It was."""
    TOO_FEW_EPOCHS = 1
    """Fewer than five usable epochs beyond one in each band."""
    BAD_SPAN = 2
    """All epochs at one time, over more than a million days, or too short for the grid."""
    CONSTANT = 3
    """All values of each band are equal."""
    NOT_VARIABLE = 4
    """The gate held it back."""
    GRID_TOO_LARGE = 5
    """Its grid would hold more frequencies than allowed."""


def _int(name: str, ucd: str, text: str, bits: int = 32) -> Column:
    return Column(name, f"int{bits}", None, ucd, text, nullable=False)


def _real(name: str, unit: str | None, ucd: str, text: str, bits: int = 64) -> Column:
    return Column(name, f"float{bits}", unit, ucd, text)


_FAP = "log10 of the chance that noise alone reaches"

#: One value for each object.
PERIOD_COLUMNS: Final = (
    _int("status", "meta.code.status", "0 where a period was searched, else why not", 16),
    _int("n_obs", "meta.number;obs", "Usable epochs"),
    _int("n_bands", "meta.number;instr.bandpass", "Bands with usable epochs"),
    _real("t_min", "d", "time.start;obs", "First usable epoch"),
    _real("t_span", "d", "time.duration;obs", "Time from the first to the last usable epoch"),
    _real("period", "d", "time.period", "Period"),
    _real("period_err", "d", "stat.error;time.period", "Standard error of the period"),
    _real("frequency", "1/d", "em.freq", "Frequency, 1/period"),
    _real("frequency_err", "1/d", "stat.error;em.freq", "Standard error of the frequency"),
    _real("power_10", None, "stat.fit.goodness", "Power at the period, one shared sinusoid", 32),
    _real("power_01", None, "stat.fit.goodness", "Power at the period, a sinusoid per band", 32),
    _real("max_power_10", None, "stat.fit.goodness;stat.max", "Largest power, shared", 32),
    _real("max_power_01", None, "stat.fit.goodness;stat.max", "Largest power, separate", 32),
    _real("log10_fap_10", None, "stat.probability", f"{_FAP} max_power_10", 32),
    _real("log10_fap_01", None, "stat.probability", f"{_FAP} max_power_01", 32),
    _real(
        "log10_p_constant",
        None,
        "stat.probability",
        "log10 of the chance of a larger chi squared without variation",
        32,
    ),
    Column("n_harmonics", "int16", None, "meta.number", "Harmonics of the final fit"),
    _real("dbic", None, "stat.fit.goodness", "BIC of the final fit less that of constants", 32),
    _real("red_chi2", None, "stat.fit.chi2", "Reduced chi squared, errors with their floor", 32),
    _real("epoch_max", "d", "time.epoch", "A time of maximum light"),
    _real("window_power", None, "stat.value", "Power of the sampling at the frequency", 32),
    Column("alias_flag", "int16", None, "meta.code.qual", "Bits: why the period may be another"),
    _real("grid_fmin", "1/d", "em.freq;stat.min", "Smallest frequency searched"),
    _real("grid_fmax", "1/d", "em.freq;stat.max", "Largest frequency searched"),
    _real("grid_df", "1/d", "em.freq;spect.resolution", "Step of the frequencies"),
    Column("n_freq", "int64", None, "meta.number", "Frequencies searched"),
    _real("box_period", "d", "time.period", "Period of the best eclipse"),
    _real("box_power", None, "stat.fit.goodness", "Share of chi squared it takes away", 32),
    _real("box_depth", None, "src.var.amplitude", "Depth of the eclipse, unit of the values", 32),
    _real("box_duration", None, "time.duration;stat.fit.param", "Its duration, in periods", 32),
    _real("box_epoch", "d", "time.epoch", "Middle of an eclipse"),
    _real("box_fmax", "1/d", "em.freq;stat.max", "Largest frequency searched for eclipses"),
)

#: Lists of each object: of its peaks, the best first, or of harmonics.
LIST_COLUMNS: Final = (
    Column("harmonic_amplitude", "float32", None, "stat.fourier.amplitude", "By harmonic"),
    Column("harmonic_phase", "float32", "rad", "stat.fourier", "phi_k - k phi_1 of a sum of sines"),
    Column("peak_frequency", "float64", "1/d", "em.freq", "Candidates, the best first"),
    Column("peak_power", "float32", None, "stat.fit.goodness", "Power there, shared"),
    Column("peak_log10_fap", "float32", None, "stat.probability", f"{_FAP} this power"),
    Column("peak_score", "float32", None, "stat.likelihood", "-2 ln evidence less the best"),
    Column("peak_alias_flag", "int16", None, "meta.code.qual", "Bits as alias_flag"),
)

#: Lists of each object where its periodogram is kept.
POWER_COLUMNS: Final = (
    Column(
        "periodogram_10",
        "float32",
        None,
        "stat.fit.goodness",
        "Power, one shared sinusoid, at grid_fmin and every grid_df from there",
    ),
    Column(
        "periodogram_01",
        "float32",
        None,
        "stat.fit.goodness",
        "Power, a sinusoid per band, at grid_fmin and every grid_df from there",
    ),
)

#: One value for each object and band; the name of the band is appended.
BAND_COLUMNS: Final = (
    Column("n_obs", "int32", None, "meta.number;obs", "Usable epochs in the band", nullable=False),
    Column("amplitude", "float32", None, "src.var.amplitude", "Half amplitude of a sinusoid"),
    Column("phase", "float32", None, "time.phase", "How much later it is brightest, in periods"),
)

_PEAKS = tuple(column.name for column in LIST_COLUMNS if column.name.startswith("peak_"))


class _Missing(NamedTuple):
    """What stands where there is no value."""

    integer: int = 0
    real: float = float("nan")


@dataclass(frozen=True, eq=False)
class Periods:
    """The result for n objects.

    Attributes
    ----------
    columns
        By the names of `PERIOD_COLUMNS`, each of shape (n,); floats are NaN and integers 0 where
        there is no value.
    lists
        By the names of `LIST_COLUMNS`, each of shape (n, peaks) or (n, 4).
    n_listed
        Peaks of each object, shape (n,): the rest of its lists is filling.
    by_band
        By the names of `BAND_COLUMNS`, each of shape (n, bands).
    bands
        Names of the bands.
    powers
        By the names of `POWER_COLUMNS`, for each object an array of shape (n frequencies,); no
        names where the periodograms are not kept.
    """

    columns: dict[str, NDArray[Any]]
    lists: dict[str, NDArray[Any]]
    n_listed: NDArray[np.int64]
    by_band: dict[str, NDArray[Any]]
    bands: tuple[str, ...]
    powers: dict[str, list[NDArray[np.float32]]]

    @classmethod
    def empty(
        cls, n: int, bands: tuple[str, ...], n_peaks: int, *, keeps_powers: bool = False
    ) -> "Periods":
        """Return rows without values."""
        missing = _Missing()

        def make(column: Column, *shape: int) -> NDArray[Any]:
            dtype = np.dtype(column.type)
            return np.full(shape, missing.real if dtype.kind == "f" else missing.integer, dtype)

        return cls(
            {column.name: make(column, n) for column in PERIOD_COLUMNS},
            {
                column.name: make(column, n, n_peaks if column.name in _PEAKS else MAX_HARMONICS)
                for column in LIST_COLUMNS
            },
            np.zeros(n, dtype=np.int64),
            {column.name: make(column, n, len(bands)) for column in BAND_COLUMNS},
            bands,
            {
                column.name: [np.zeros(0, dtype=np.float32)] * n
                for column in POWER_COLUMNS
                if keeps_powers
            },
        )

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.n_listed)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a column of `PERIOD_COLUMNS` or `LIST_COLUMNS`."""
        return self.columns[name] if name in self.columns else self.lists[name]

    def set_row(self, row: int, found: dict[str, Any]) -> None:
        """Fill in one object."""
        for name, value in found.items():
            if name == "n_obs_band":
                counts = np.bincount(value, minlength=len(self.bands))
                self.by_band["n_obs"][row] = counts[: len(self.bands)]
            elif name in self.columns:
                self.columns[name][row] = value
            elif name in self.by_band:
                codes, values = value
                self.by_band[name][row, codes] = values
            elif name in self.powers:
                self.powers[name][row] = value
            else:
                n = min(len(value), self.lists[name].shape[1])
                self.lists[name][row, :n] = value[:n]
        self.n_listed[row] = len(found.get("peak_frequency", ()))
