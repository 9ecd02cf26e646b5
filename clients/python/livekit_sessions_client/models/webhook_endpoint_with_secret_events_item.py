from enum import StrEnum


class WebhookEndpointWithSecretEventsItem(StrEnum):
    AGENT_FAILED = "agent.failed"
    AGENT_JOINED = "agent.joined"
    RECORDING_READY = "recording.ready"
    SESSION_ENDED = "session.ended"
    SESSION_STARTED = "session.started"
    TRANSCRIPT_READY = "transcript.ready"

    def __str__(self) -> str:
        return str(self.value)
