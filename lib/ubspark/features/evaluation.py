"""How good a classifier is, with intervals, on objects it has not seen."""

from dataclasses import dataclass

import numpy as np

from ubspark.features.segments import FloatArray, IntArray

__all__ = ["Evaluation", "Interval", "compute_reliability", "compute_wilson", "evaluate"]

_DRAWS = 1000
#: Two-sided 95 %.
_Z = 1.959963984540054


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return the figure as a table shows it."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Figures of a classifier over k classes.

    Attributes
    ----------
    confusion
        Objects of each true class (rows) by the class they were given, shape (k, k).
    recall
        By class, Wilson intervals.
    balanced_accuracy, accuracy
        Bootstrap over groups of objects.
    majority_accuracy
        What always answering the largest class would reach; its balanced accuracy is 1/k.
    log_loss, brier
        Mean over objects; Brier summed over classes.
    calibration_error
        Mean distance of stated and found share of hits, by bins of the largest probability.
    """

    classes: tuple[str, ...]
    confusion: IntArray
    recall: tuple[Interval, ...]
    balanced_accuracy: Interval
    accuracy: Interval
    majority_accuracy: float
    log_loss: float
    brier: float
    calibration_error: float


def evaluate(
    classes: tuple[str, ...],
    labels: IntArray,
    given: IntArray,
    probabilities: FloatArray,
    groups: IntArray,
    *,
    seed: int = 0,
) -> Evaluation:
    """Judge the classes and probabilities given to n objects.

    Parameters
    ----------
    labels, given
        True and given class, shape (n,), in [0, k).
    probabilities
        Shape (n, k).
    groups
        Objects of one group are drawn together, shape (n,).
    """
    k = len(classes)
    confusion = np.zeros((k, k), dtype=np.int64)
    np.add.at(confusion, (labels, given), 1)
    sizes, hits = confusion.sum(axis=1), np.diag(confusion)
    recall = tuple(compute_wilson(int(h), int(n)) for h, n in zip(hits, sizes, strict=True))
    balanced, plain = _bootstrap(labels, given, groups, k, seed)
    truth = np.eye(k)[labels]
    likelihood = np.maximum(probabilities[np.arange(len(labels)), labels], 1e-15)
    stated, found, share = compute_reliability(labels, probabilities)
    return Evaluation(
        classes=classes,
        confusion=confusion,
        recall=recall,
        balanced_accuracy=Interval(float(np.mean(hits / sizes)), *balanced),
        accuracy=Interval(float(hits.sum() / sizes.sum()), *plain),
        majority_accuracy=float(sizes.max() / sizes.sum()),
        log_loss=float(-np.log(likelihood).mean()),
        brier=float(((probabilities - truth) ** 2).sum(axis=1).mean()),
        calibration_error=float(np.sum(share * np.abs(stated - found))),
    )


def compute_wilson(hits: int, n: int) -> Interval:
    """Return a share with Wilson's 95 % interval; NaN to [0, 1] of nothing."""
    if n == 0:
        return Interval(float("nan"), 0.0, 1.0)
    share, z2 = hits / n, _Z * _Z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = _Z / (1 + z2 / n) * np.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return Interval(share, float(max(centre - reach, 0.0)), float(min(centre + reach, 1.0)))


def compute_reliability(
    labels: IntArray, probabilities: FloatArray, *, n_bins: int = 10
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return stated and found share of hits, and share of objects, by bins of equal number."""
    best = probabilities.argmax(axis=1)
    stated, is_hit = probabilities.max(axis=1), best == labels
    parts = np.array_split(np.argsort(stated, kind="stable"), min(n_bins, len(labels)))
    means = np.array([(stated[p].mean(), is_hit[p].mean(), len(p) / len(labels)) for p in parts])
    return means[:, 0], means[:, 1], means[:, 2]


def _bootstrap(
    labels: IntArray, given: IntArray, groups: IntArray, k: int, seed: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return intervals of balanced and plain accuracy, by drawing groups again."""
    _, member = np.unique(groups, return_inverse=True)
    n_groups = int(member.max()) + 1
    # Objects and hits of each group by class: a draw is a product.
    totals, hits = np.zeros((n_groups, k)), np.zeros((n_groups, k))
    np.add.at(totals, (member, labels), 1.0)
    np.add.at(hits, (member, labels), (labels == given).astype(np.float64))
    rng = np.random.default_rng(seed)
    times = rng.multinomial(n_groups, np.full(n_groups, 1.0 / n_groups), size=_DRAWS)
    n, right = times @ totals, times @ hits
    recall = np.divide(right, n, out=np.full_like(n, np.nan), where=n > 0)
    balanced, plain = np.nanmean(recall, axis=1), right.sum(axis=1) / n.sum(axis=1)
    (low, high), (plain_low, plain_high) = (
        np.percentile(drawn, [2.5, 97.5]) for drawn in (balanced, plain)
    )
    return (float(low), float(high)), (float(plain_low), float(plain_high))
