"""A small company as bindery's resources: teams, people, and which team may use which application.

Nothing here knows of gRPC. The file may also have `resources`: any others, in the JSON form of bindery.v1.Resource.
"""

import json
from pathlib import Path

from google.protobuf.json_format import ParseDict

# What stands in for an empty id, where it is not the name. A binding's and a route's are longer; here they have to have
# an id.
STAND_IN = {
    "application": ["slug"],
    "source": ["slug"],
    "flow": ["slug"],
    "user": ["username"],
    "device": ["identifier"],
    "entitlement": ["application", "name"],
    "flow_stage_binding": ["flow", "order", "stage"],
    "reputation_score": ["ip", "identifier"],
    "policy_binding": ["id"],
    "route": ["id"],
}


def resources(path: Path, resource_pb2) -> dict[tuple[int, str], bytes]:
    """Every resource of the file, serialized, by its kind and id."""
    company = json.loads(path.read_text())
    found = [{"group": {"name": name, "parents": named(above)}} for name, above in company.get("teams", {}).items()]
    found += [{"user": {"username": name, "groups": named(teams)}} for name, teams in company.get("people", {}).items()]
    for slug, teams in company.get("applications", {}).items():
        found.append({"application": {"slug": slug, "empty_result": False}})
        found += [
            {"policy_binding": {"id": f"{slug}/{team}", "target": {"application": slug}, "group": {"name": team}}}
            for team in teams
        ]
    parsed = [ParseDict(each, resource_pb2.Resource()) for each in found + company.get("resources", [])]
    # The same resource has to have the same bytes every time, or it would look changed.
    return {key(each): each.SerializeToString(deterministic=True) for each in parsed}


def named(names: list[str]) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


def key(resource) -> tuple[int, str]:
    """The kind and the id. Where it is empty, most kinds have something that stands in for it."""
    kind = resource.WhichOneof("resource")
    if kind is None:
        raise ValueError("a resource has to say what it is")
    message = getattr(resource, kind)
    name = message.id or "/".join(str(getattr(message, part)) for part in STAND_IN.get(kind, ["name"]))
    if not name:
        raise ValueError(f"a {kind} has to have an id")
    # The numbers of the kinds are those of the fields.
    return resource.DESCRIPTOR.fields_by_name[kind].number, name
