"""What would put a credential where everybody sees it: in manifests, pods, settings and records."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ubspark.errors import ParameterError
from ubspark.kubernetes.profile import Profile
from ubspark.runtime.config import JobConfig

__all__ = ["validate_no_credentials"]

_VARIABLE = re.compile(
    r"(?i)secret|passw(or)?d|passphrase|(access|api|private)_?key"
    r"|(^|_)(tokens?|credentials?|key|pat)$"
)
#: They name a file, which may be the mount of a Secret.
_NAMES_FILE = re.compile(r"(?i).*_(file|path|dir)|google_application_credentials")
_SETTING = re.compile(
    r"(?i)(account|encryption|private|api|shared|storage)[._-]?key(\.|$)|\.sas\.|credentials?$"
)
#: Settings that become variables of the pods.
_ENVIRONMENT = re.compile(r"spark\.(?:executorEnv|kubernetes\.driverEnv)\.(.+)")
#: In a URI: a password before the `@`, which may hold a `/`, or a name alone. Azure has a container
#: there; digits are a port.
_USER_INFO = re.compile(
    r"://[^/?#@:\s]*:(?!\d+(?:/|$))[^@\s]*@"
    r"|(?<!abfs)(?<!abfss)(?<!wasb)(?<!wasbs)://[^/?#@:\s]+@"
)
_JAVA_PROPERTY = re.compile(
    r"(?i)-D[\w.-]{0,100}?(secret|passw(or)?d|token|credential|(access|account|private|api)[._-]?key)"
    r"[\w.-]*="
)


def validate_no_credentials(config: JobConfig, profile: Profile) -> None:
    """Refuse credentials in plain text, by the names of keys or by what a text looks like.

    Raises
    ------
    ParameterError
        Naming the first key, never its value.
    """
    key = next(_find_credentials(config, profile), None)
    if key is not None:
        msg = (
            f"`{key}` would hold a credential, for all to read who see the pods and the records; "
            f"give it by a Secret that `k8s.secrets` names."
        )
        raise ParameterError(msg)


def _find_credentials(config: JobConfig, profile: Profile) -> Iterator[str]:
    yield from _search_variables("k8s.env", profile.env)
    yield from _search_settings("k8s.spark", profile.spark)
    yield from _search_settings("resources.spark", config.resources.spark)
    for role, size in {"driver": profile.driver, "executor": profile.executor}.items():
        yield from _search_pod(f"k8s.{role}.template.spec", size.template.get("spec"))
    for prefix, content in {"": config.model_dump(), "k8s.": profile.model_dump()}.items():
        for key, text in _list_texts(content):
            if _holds_credential(text):
                yield f"{prefix}{key}"


def _search_variables(section: str, variables: Mapping[str, str]) -> Iterator[str]:
    for name in variables:
        if _VARIABLE.search(name) and not _NAMES_FILE.fullmatch(name):
            yield f"{section}.{name}"


def _search_settings(section: str, settings: Mapping[str, str]) -> Iterator[str]:
    for key in settings:
        variable = _ENVIRONMENT.fullmatch(key)
        if variable:
            yield from (f"{section}.{key}" for _ in _search_variables("", {variable[1]: ""}))
        elif _SETTING.search(key):
            yield f"{section}.{key}"


def _search_pod(section: str, pod: Any) -> Iterator[str]:
    """Yield the variables of containers that have a value of their own, not one of a Secret."""
    for key in ("initContainers", "containers"):
        for i, container in enumerate((pod or {}).get(key) or []):
            given = {v["name"]: v["value"] for v in container.get("env") or [] if "value" in v}
            yield from _search_variables(f"{section}.{key}[{i}].env", given)


def _list_texts(content: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts in a tree of mappings and lists, with their keys."""
    if isinstance(content, str):
        yield place, content
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _list_texts(value, f"{place}.{key}" if place else str(key))
    elif isinstance(content, list | tuple):
        for i, value in enumerate(content):
            yield from _list_texts(value, f"{place}[{i}]")


def _holds_credential(text: str) -> bool:
    return bool(_USER_INFO.search(text) or _JAVA_PROPERTY.search(text))
