"""Jobs on Kubernetes: manifests, submission, what became of them."""

from ubspark.kubernetes.lifecycle import cancel, find_status, read_logs, submit
from ubspark.kubernetes.manifest import (
    build_application,
    build_schedule,
    name_submission,
    validate_name,
)
from ubspark.kubernetes.profile import Profile, load_profile
from ubspark.kubernetes.submission import build_submission

__all__ = [
    "Profile",
    "build_application",
    "build_schedule",
    "build_submission",
    "cancel",
    "find_status",
    "load_profile",
    "name_submission",
    "read_logs",
    "submit",
    "validate_name",
]
