"""The distance in x between the two points of a training pair."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from fastinv._common.arrays import Float64Array
from fastinv._common.validation import as_float64
from fastinv.backends.protocol import Backend
from fastinv.estimators.twin_pairs import positive

# Gaps between anchors, see reaching_radius: nearly the largest of this many, with a margin.
_N_GAP_SAMPLES, _GAP_QUANTILE, _GAP_MARGIN = 2000, 0.999, 1.2


def pair_radius(bounds: Float64Array, n_anchors: int) -> Float64Array:
    """Half-width of the box around an anchor that its partners are drawn from, shape ``(p,)``.

    About the distance between neighbouring anchors: the paper's code takes
    ``(high - low) * 2 c_d (2 / (n V_d))**(1/d)`` with V_d the volume of the unit ball in d
    dimensions and ``c_d = gamma(d/2) / (sqrt(pi) gamma((d + 1)/2))``.
    """
    d = len(bounds)
    # In logarithms, because the gamma function overflows for hundreds of inputs.
    log_volume = d / 2 * math.log(math.pi) - math.lgamma(d / 2 + 1)
    c = math.exp(math.lgamma(d / 2) - math.lgamma((d + 1) / 2)) / math.sqrt(math.pi)
    spacing = 2 * c * math.exp((math.log(2 / n_anchors) - log_volume) / d)
    return np.asarray((bounds[:, 1] - bounds[:, 0]) * spacing)


def reaching_radius(
    backend: Backend, bounds: Float64Array, anchors: Float64Array, rng: np.random.Generator
) -> Float64Array:
    """:func:`pair_radius`, enlarged where it leaves gaps between `anchors`, shape ``(p,)``.

    Anchors that were drawn at random, or given, lie less evenly than the formula supposes. The
    pairs have to reach any point of the box from its nearest anchor, or the network will have to
    extrapolate there.
    """
    radius = pair_radius(bounds, len(anchors))
    x = rng.uniform(bounds[:, 0], bounds[:, 1], size=(_N_GAP_SAMPLES, len(bounds)))
    unit = positive(radius)
    gaps = backend.neighbors(anchors / unit).query(x / unit, 1)[0]
    return radius * max(1.0, _GAP_MARGIN * float(np.quantile(gaps, _GAP_QUANTILE)))


def resolve_radius(
    radius: float | ArrayLike | None,
    backend: Backend,
    bounds: Float64Array,
    anchors: Float64Array,
    n_outputs: int,
    rng: np.random.Generator,
) -> Float64Array:
    """The parameter `radius` of pairs as an array of shape ``(p,)``, chosen where it is None.

    Raises
    ------
    ValueError
        It has another shape, or is not positive and finite.
    """
    n_inputs = len(bounds)
    if radius is None:
        # With more inputs than outputs there are solutions nearby everywhere: no gap to reach
        # across.
        if n_inputs > n_outputs:
            return pair_radius(bounds, len(anchors))
        return reaching_radius(backend, bounds, anchors, rng)
    given = as_float64(radius, "radius")
    if given.shape not in ((), (n_inputs,)):
        raise ValueError(f"radius must be a number or have shape ({n_inputs},), got {given.shape}")
    if not (np.isfinite(given) & (given > 0.0)).all():
        raise ValueError(f"radius must be positive and finite, got {given.tolist()}")
    return np.broadcast_to(given, (n_inputs,))
