"""The clock of a schedule as the operator reads it: five fields of cron, or ``@daily`` and such."""

import re

from ubspark.errors import ParameterError

__all__ = ["validate_clock"]

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
#: Name, smallest and largest number of each field, and the names that stand for numbers.
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("weekday", 0, 6, _DAYS),
)
_NAMED = re.compile(r"@(yearly|annually|monthly|weekly|daily|midnight|hourly)")
_EVERY = re.compile(r"@every (?=.*[1-9])([0-9]+[hms])+")
_RANGE = re.compile(r"(?:[*?]|(\w+)(?:-(\w+))?)(?:/([0-9]+))?", re.ASCII)


def validate_clock(cron: str) -> str:
    """Return a clock without blanks around it.

    Raises
    ------
    ParameterError
        Naming the field that is wrong.
    """
    clock = cron.strip()
    if _NAMED.fullmatch(clock) or _EVERY.fullmatch(clock):
        return clock
    given = clock.split()
    if len(given) != len(_FIELDS) or clock.startswith("@"):
        msg = (
            f"`--schedule` must be five fields of cron, such as '0 9 * * *', or one of @daily and "
            f"its like, such as '@every 6h', got {cron!r}."
        )
        raise ParameterError(msg)
    for text, (name, least, most, names) in zip(given, _FIELDS, strict=True):
        if not all(_is_range(part, least, most, names) for part in text.split(",")):
            msg = (
                f"`--schedule` must be five fields of cron whose {name} is of {least} to {most}, "
                f"got {text!r} in {cron!r}."
            )
            raise ParameterError(msg)
    return clock


def _is_range(text: str, least: int, most: int, names: tuple[str, ...]) -> bool:
    """Whether a text is ``*``, a number, or a range of them, with a step or without."""
    found = _RANGE.fullmatch(text)
    if not found or (found[3] is not None and int(found[3]) == 0):
        return False
    if found[1] is None:
        return True
    first, last = (_read(word, least, names) for word in (found[1], found[2] or found[1]))
    return first is not None and last is not None and least <= first <= last <= most


def _read(word: str, least: int, names: tuple[str, ...]) -> int | None:
    if word.lower() in names:
        return names.index(word.lower()) + least
    return int(word) if word.isdecimal() else None
