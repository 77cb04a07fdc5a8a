"""Models that a job file names by their address in the model registry."""

from typing import Any

from ubspark.errors import TransientError, UbsparkError
from ubspark.lineage.tracking import Tracker
from ubspark.recipes.base import Params
from ubspark.runtime.home import Home

__all__ = ["resolve_model"]

_SCHEME = "models:"


def resolve_model(given: Params, home: Home) -> Any:
    """Put the folder, version and digest of a registered model in place of its address.

    Raises
    ------
    InputMissingError
        If the registry does not have it.
    TransientError
        If the registry does not answer.
    """
    address = str(getattr(given, "model", ""))
    if not address.startswith(_SCHEME):
        return given
    tracker = Tracker(home.tracking_uri, artifact_root=home.artifact_root, spool=home.spool)
    try:
        found = tracker.find_model(address, copies=home.path / "models")
    except UbsparkError:
        raise
    # MLflow's stores raise whatever their back end raises.
    except Exception as error:
        first = str(error).strip().partition("\n")[0].rstrip(".")
        msg = f"The model registry at {home.tracking_uri} does not answer: {first}."
        raise TransientError(msg) from error
    sha256 = getattr(given, "model_sha256", None) or found.sha256
    changes = {"model": str(found.folder), "registered": found.address, "model_sha256": sha256}
    return given.model_copy(update=changes)
