"""From the scores of a classifier to probabilities that hold."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from ubspark.features.segments import FloatArray, IntArray

__all__ = ["Calibration", "fit_calibration"]

#: A probability of 0 has no logarithm; a classifier of a few hundred rows means no less by it.
_LEAST = 1e-6
#: Strength of the pull to "change nothing": one observation's worth of squared parameters.
_RIDGE = 1.0


@dataclass(frozen=True, eq=False)
class Calibration:
    """Temperature and one offset per class, of the logarithms of the scores.

    Attributes
    ----------
    inverse_temperature
        Below 1 for a classifier that is too sure of itself.
    offsets
        Shape (k,), of mean 0: moves classes that class weights made too frequent or too rare.
    """

    inverse_temperature: float
    offsets: FloatArray

    def apply(self, scores: FloatArray) -> FloatArray:
        """Return probabilities, shape (n, k), rows summing to 1."""
        logits = self.inverse_temperature * _to_logits(scores) + self.offsets
        return np.asarray(softmax(logits, axis=1))


def fit_calibration(scores: FloatArray, labels: IntArray) -> Calibration:
    """Fit a calibration to scores of objects that the classifier has not seen.

    Parameters
    ----------
    scores
        Probabilities as the classifier gives them, shape (n, k).
    labels
        True class of each, shape (n,), in [0, k).

    Notes
    -----
    Bias-corrected temperature scaling [1]_: softmax(s log p + b) with the largest likelihood. A
    weak pull towards s = 1, b = 0 keeps classes of a few objects in their place.

    References
    ----------
    .. [1] Alexandari, Kundaje & Shrikumar 2020, ICML 119, 222.
    """
    logits = _to_logits(scores)
    n, k = scores.shape
    truth = np.zeros((n, k))
    truth[np.arange(n), labels] = 1.0

    def compute_cost(parameters: FloatArray) -> tuple[float, FloatArray]:
        slope, offsets = parameters[0], parameters[1:]
        logp = log_softmax(slope * logits + offsets, axis=1)
        miss = np.exp(logp) - truth
        pull = np.append(slope - 1.0, offsets)
        cost = -float(np.sum(logp * truth)) + 0.5 * _RIDGE * float(pull @ pull)
        slope_part = float(np.sum(miss * logits))
        return cost, np.append(slope_part, miss.sum(axis=0)) + _RIDGE * pull

    start = np.append(1.0, np.zeros(k))
    bounds = [(0.01, 10.0), *[(None, None)] * k]
    best = minimize(compute_cost, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return Calibration(float(best[0]), best[1:] - best[1:].mean())


def _to_logits(scores: FloatArray) -> FloatArray:
    return np.log(np.maximum(scores, _LEAST))
