"""A lineage graph as W3C PROV-JSON, with the classes of the IVOA Provenance Data Model."""

import time
from typing import Any

from ubspark.lineage.formats import describe_run
from ubspark.lineage.graph import LineageGraph

__all__ = ["to_prov"]

_NAMESPACE = "https://ubspark.readthedocs.io/prov#"
_VOPROV = "http://www.ivoa.net/documents/ProvenanceDM/voprov#"


def to_prov(graph: LineageGraph) -> dict[str, Any]:
    """Return a PROV-JSON document: entities, activities, agents and their relations.

    Notes
    -----
    The format is the W3C member submission PROV-JSON (Huynh et al. 2013); each entity, activity
    and agent also says its class of the IVOA Provenance Data Model 1.0 in ``voprov:type``.
    """
    names = {key: f"ubspark:e{i}" for i, key in enumerate(graph.entities)}
    names |= {run: f"ubspark:{run.replace(':', '-')}" for run in graph.runs}
    document: dict[str, Any] = {
        "prefix": {"ubspark": _NAMESPACE, "voprov": _VOPROV},
        "entity": {names[key]: _describe_entity(graph, key) for key in graph.entities},
        "activity": {names[run]: _describe_activity(graph, run) for run in graph.runs},
        "agent": {},
        "used": {},
        "wasGeneratedBy": {},
        "wasDerivedFrom": {},
        "wasAssociatedWith": {},
    }
    for i, link in enumerate(graph.links):
        source, target = names[link.source], names[link.target]
        if link.kind == "used":
            relation = {"prov:activity": source, "prov:entity": target, "prov:role": link.role}
            document["used"][f"_:u{i}"] = relation
        elif link.kind == "made_by":
            relation = {"prov:entity": source, "prov:activity": target, "prov:role": link.role}
            document["wasGeneratedBy"][f"_:g{i}"] = relation
        else:
            relation = {"prov:generatedEntity": source, "prov:usedEntity": target}
            document["wasDerivedFrom"][f"_:d{i}"] = relation
    for i, run in enumerate(graph.runs):
        user = str(describe_run(graph, run)["user"])
        agent = f"ubspark:agent-{user.encode().hex()}"
        document["agent"][agent] = {
            "prov:label": user,
            "prov:type": {"$": "prov:Person", "type": "prov:QUALIFIED_NAME"},
            "voprov:type": "Agent",
        }
        association = {"prov:activity": names[run], "prov:agent": agent, "prov:role": "operator"}
        document["wasAssociatedWith"][f"_:a{i}"] = association
    return {key: value for key, value in document.items() if value}


def _describe_entity(graph: LineageGraph, key: str) -> dict[str, Any]:
    entity = graph.entities[key]
    facts: dict[str, Any] = {
        "prov:label": entity.name,
        "prov:location": entity.uri,
        "voprov:type": "DatasetEntity",
        "ubspark:kind": entity.kind,
        "ubspark:identity": entity.identity,
    }
    if entity.version is not None:
        facts["ubspark:version"] = entity.version
    made = graph.made.get(key)
    if made is not None and made.record is not None:
        facts["ubspark:digest"] = str(made.record.get("digest"))
    return facts


def _describe_activity(graph: LineageGraph, run: str) -> dict[str, Any]:
    facts = describe_run(graph, run)
    described = {
        "prov:label": f"{facts['job']} {facts['job_version']}",
        "voprov:type": "Activity",
        "ubspark:key": facts["key"],
        "ubspark:code": str(facts["code"].get("sha256")),
    }
    if facts["committed_ms"] is not None:
        moment = time.gmtime(facts["committed_ms"] / 1000)
        described["prov:endTime"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", moment)
    return described
