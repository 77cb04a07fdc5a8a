"""The errors a user can meet: each name tells whose turn it is."""

__all__ = [
    "ConflictError",
    "InputMissingError",
    "ParameterError",
    "SchemaError",
    "SourceError",
    "TransientError",
    "UbsparkError",
]


class UbsparkError(Exception):
    """Base of all errors that ubspark raises on purpose.

    The message is one sentence for the user; ``exit_code`` is what the command returns.
    """

    exit_code = 5


class ParameterError(UbsparkError, ValueError):
    """An argument or a configuration key is wrong: the user's turn."""

    exit_code = 2


class SchemaError(UbsparkError):
    """A table does not have the columns, types or units that a job needs: the user's turn."""

    exit_code = 2


class ConflictError(UbsparkError):
    """An output already holds something else: the user decides what happens to it."""

    exit_code = 2


class InputMissingError(UbsparkError):
    """An input table, version or file is not there, or is there no more."""

    exit_code = 4


class SourceError(UbsparkError):
    """A source file is there but cannot be read as what it claims to be."""

    exit_code = 4


class TransientError(UbsparkError):
    """Something outside failed that may work at the next try: the operator's turn."""

    exit_code = 75
