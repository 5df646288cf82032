"""What users and foreign code say, without secrets: done last before it is kept."""

from __future__ import annotations

from msgspec.structs import replace

from ..capture.redaction import redact_text
from ..capture.values import clean_text, plain
from ..model.documents import Intent, Stage
from ..model.series import Event


def redacted(text: str) -> str:
    """A text without secrets."""
    return redact_text(clean_text(text))


def redact_event(event: Event) -> Event:
    """An event without secrets, whoever made it; its facts are JSON."""
    # As one mapping, so that what is called a secret is taken for one.
    return replace(
        event, name=redacted(event.name), text=redacted(event.text), facts=plain(event.facts)
    )


def redact_intent(intent: Intent) -> Intent:
    """An intent without secrets."""
    return Intent(
        goal=redacted(intent.goal),
        assumptions=tuple(map(redacted, intent.assumptions)),
        conclusion=redacted(intent.conclusion),
    )


def redact_stage(stage: Stage) -> Stage:
    """The place in a chain without secrets."""
    return Stage(name=redacted(stage.name), role=redacted(stage.role))
