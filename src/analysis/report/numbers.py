"""How the report writes figures. Nothing is rounded before it comes here."""

from __future__ import annotations

import math
from collections.abc import Sequence

from seglab.analysis.multiplicity import POWER
from seglab.analysis.resampling import CONFIDENCE, Interval
from seglab.utils.figures import metric_unit

#: Stands for a figure that has no value.
NONE = "–"  # noqa: RUF001 - a dash is meant
#: What the intervals are called.
INTERVAL = f"{100 * CONFIDENCE:g} % interval"
#: The probability of a true difference that is called detectable.
POWER_SHOWN = f"{100 * POWER:g} %"
_SHORT_UNITS = {"pixels": "px"}


def fixed(value: float | None, digits: int = 2) -> str:
    """A figure with a fixed number of decimals; a dash for NaN and None."""
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def signed(value: float | None, digits: int = 2) -> str:
    """A difference with its sign; what rounds to zero has none."""
    text = fixed(value, digits)
    return f"+{text}" if value is not None and text != NONE and float(text) > 0 else text


def between(interval: Interval, digits: int = 2, sign: bool = False) -> str:
    """An interval: 'LOW to HIGH'; on which side of zero an end lies is seen with a sign."""
    write = _side if sign else fixed
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return NONE
    return f"{write(interval.low, digits)} to {write(interval.high, digits)}"


def _side(value: float, digits: int) -> str:
    """A difference with its sign, in as many decimals as tell it from zero, if six do."""
    texts = (signed(value, more) for more in range(digits, 7))
    return next((text for text in texts if float(text)), signed(value, digits))


def interval_words(interval: Interval, sign: bool = False) -> str:
    """An interval with its name."""
    return f"{INTERVAL} {between(interval, sign=sign)}"


def with_unit(key: str, value: float | None) -> str:
    """A figure in its unit: '84.12 %' or '7.31 px'."""
    unit = metric_unit(key)
    return f"{fixed(value)} {_SHORT_UNITS.get(unit, unit)}"


def probability(value: float) -> str:
    """A p-value with four decimals; one that would round to zero is given as a bound."""
    if not math.isfinite(value):
        return NONE
    return "< 0.0001" if value < 0.00005 else f"{value:.4f}"


def share(part: float, whole: float, digits: int = 1) -> str:
    """A part of a whole in percent; a dash where there is no whole."""
    return f"{fixed(100.0 * part / whole, digits)} %" if whole else NONE


def count(value: float | None) -> str:
    """A number of things, with thousands set apart."""
    return NONE if value is None or not math.isfinite(value) else f"{value:,.0f}"


def quantity(number: int, one: str, many: str = "") -> str:
    """'1 image', '2 images'."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def duration(seconds: float | None) -> str:
    """A time in the two largest of hours, minutes and seconds."""
    if seconds is None or not math.isfinite(seconds):
        return NONE
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{fixed(seconds, 1)} s"


def mean(values: Sequence[float]) -> float:
    """The mean; NaN if any value is, or of none: a seed without a value is not passed over."""
    return math.fsum(values) / len(values) if values else math.nan
