"""What the columns of a catalog stand for, kept as properties of its table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from ubspark.columns import ROLES
from ubspark.errors import ParameterError

__all__ = ["CatalogRoles", "validate_role_names"]

_ROLE = "ubspark.role."
_EPOCH = "ubspark.epoch"
_FRAME = "ubspark.frame"
_COS_DEC = "ubspark.pm_includes_cos_dec"


@dataclass(frozen=True)
class CatalogRoles:
    """Which column is the right ascension, which the identifier, and what epoch holds."""

    #: Role (``ra``, ``pmra``, ...) to column name.
    columns: Mapping[str, str] = field(default_factory=dict)
    #: Epoch of all positions, Julian year; None where a column has it or nobody knows.
    epoch: float | None = None
    #: Whether the column of role ``pmra`` is the motion along the circle of ``ra`` (mu_alpha*).
    pm_includes_cos_dec: bool | None = None

    def __getitem__(self, role: str) -> str:
        """Return the column of a role."""
        return self.columns[role]

    def get(self, role: str) -> str | None:
        """Return the column of a role, or None."""
        return self.columns.get(role)

    def override(self, columns: Mapping[str, str]) -> "CatalogRoles":
        """Return the roles with some columns replaced."""
        validate_role_names(columns)
        return CatalogRoles({**self.columns, **columns}, self.epoch, self.pm_includes_cos_dec)

    def to_properties(self) -> dict[str, str]:
        """Return the table properties that :meth:`from_properties` reads."""
        found = {_ROLE + role: column for role, column in self.columns.items()}
        found[_FRAME] = "icrs"
        if self.epoch is not None:
            found[_EPOCH] = repr(float(self.epoch))
        if self.pm_includes_cos_dec is not None:
            found[_COS_DEC] = str(self.pm_includes_cos_dec).lower()
        return found

    @classmethod
    def from_properties(cls, properties: Mapping[str, str]) -> "CatalogRoles":
        """Read the roles from the properties of a table; without any, all are unset."""
        columns = {
            key.removeprefix(_ROLE): value
            for key, value in properties.items()
            if key.startswith(_ROLE)
        }
        epoch = properties.get(_EPOCH)
        cos_dec = properties.get(_COS_DEC)
        return cls(
            columns,
            None if epoch is None else float(epoch),
            None if cos_dec is None else cos_dec == "true",
        )


def validate_role_names(columns: Mapping[str, str]) -> None:
    """Refuse a role that does not exist.

    Raises
    ------
    ParameterError
        With the nearest role and the list of all.
    """
    for role in columns:
        if role not in ROLES:
            near = get_close_matches(role, ROLES, n=1)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            msg = f"There is no column role `{role}`.{hint} Roles: {', '.join(ROLES)}."
            raise ParameterError(msg)
