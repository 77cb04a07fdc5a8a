"""What the numbers of a feature table mean beside the declarations of its columns."""

from collections.abc import Mapping

__all__ = ["MEANING", "find_differences"]

#: What a table says of itself, and whether numbers of one name are others where it differs. Bands
#: are part of names, and columns of one meaning may have other names elsewhere.
MEANING = {
    "is_magnitude": True,
    "unit": True,
    "engine": True,
    "values": False,
    "bands": False,
    "joined": False,
}


def find_differences(
    found: Mapping[str, str], expected: Mapping[str, str], *, is_decisive: bool
) -> list[str]:
    """Say what two tables say differently; what one of them does not say is left out.

    Parameters
    ----------
    found, expected
        Words by the keys of `MEANING`.
    is_decisive
        Whether to list what makes numbers others, or the rest.
    """
    return [
        f"`{key}` is {found[key]} instead of {expected[key]}"
        for key, decides in MEANING.items()
        if decides is is_decisive
        and key in found
        and key in expected
        and found[key] != expected[key]
    ]
