"""How probable a deviation is by chance alone: Student's t and the binomial distribution."""

from __future__ import annotations

from math import atan, comb, cos, pi, sin, sqrt


def two_sided(t: float, freedom: int) -> float:
    """The probability that Student's t with `freedom` degrees lies outside ``[-t, t]``.

    The finite sums for a whole number of degrees: Abramowitz and Stegun (1964), 26.7.3 and 26.7.4.
    """
    angle = atan(abs(t) / sqrt(freedom))
    square = cos(angle) ** 2
    odd = freedom % 2
    term, total = (cos(angle) if odd else 1.0), 0.0
    for k in range(2 + odd, freedom + 1, 2):
        total += term
        term *= square * (k - 1) / k
    inside = 2.0 / pi * (angle + sin(angle) * total) if odd else sin(angle) * total
    return max(0.0, 1.0 - inside)


def deviation(probability: float, freedom: int) -> float:
    """The `t` outside of which Student's t lies with this probability, on either side."""
    low, high = 0.0, 1.0
    while two_sided(high, freedom) > probability:
        high *= 2.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        if two_sided(middle, freedom) > probability:
            low = middle
        else:
            high = middle
    return high


def at_least(count: int, of: int, probability: float) -> float:
    """The probability of at least `count` successes in `of` independent trials."""
    return sum(
        comb(of, k) * probability**k * (1.0 - probability) ** (of - k) for k in range(count, of + 1)
    )
