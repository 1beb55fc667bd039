"""Three policies: plain functions from a question to an answer. Nothing here knows of gRPC.

A policy takes an EvaluatePolicyRequest and gives an Answer. Whatever it raises is an error of the policy, so that the
binding's failure result decides.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/Berlin")
OPENS, CLOSES = time(8), time(18)
ALLOW_LIST = Path(__file__).with_name("allow-list.json")


@dataclass
class Answer:
    passing: bool
    messages: list[str] = field(default_factory=list)
    # When the answer could be another one without anybody changing anything. None: not known.
    valid_until: datetime | None = None


def business_hours(request) -> Answer:
    """Passes from Monday to Friday between 8 and 18 o'clock in Berlin."""
    # The moment of the question and not this machine's: a question may be about another one.
    now = request.time.ToDatetime(tzinfo=timezone.utc).astimezone(ZONE)
    if now.weekday() < 5 and OPENS <= now.time() < CLOSES:
        return Answer(True, valid_until=datetime.combine(now.date(), CLOSES, ZONE))
    day = now.date() if now.time() < OPENS else now.date() + timedelta(days=1)
    while day.weekday() >= 5:
        day += timedelta(days=1)
    opening = datetime.combine(day, OPENS, ZONE)
    return Answer(False, [f"Open again on {opening:%A at %H:%M}."], opening)


def allow_list(request) -> Answer:
    """Passes for the users and groups that allow-list.json names for the application."""
    if request.target.WhichOneof("target") != "application":
        raise ValueError("the allow-list is about applications; bind it to one")
    # Read every time: it is small, and edits count at once.
    entry = json.loads(ALLOW_LIST.read_text()).get(request.target.application)
    if entry is None:
        return Answer(False, [f"Nobody has put {request.target.application} on the allow-list yet."])
    subject = request.subject
    groups = {group.name for group in subject.groups}
    # Nobody has proven to be anybody where the subject is anonymous.
    if not subject.anonymous and (subject.username in entry["users"] or groups & set(entry["groups"])):
        return Answer(True)
    return Answer(False, [f"Ask for {request.target.application} at the service desk."])


def second_factor(request) -> Answer:
    """Passes for users of the directory who have set an authenticator up."""
    if request.subject.HasField("directory") and request.subject.directory.authenticators:
        return Answer(True)
    return Answer(False, ["Set up a second factor first."])


POLICIES = {
    "business-hours": business_hours,
    "allow-list": allow_list,
    "second-factor": second_factor,
}
