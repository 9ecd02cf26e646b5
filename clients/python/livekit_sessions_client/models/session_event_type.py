from enum import StrEnum


class SessionEventType(StrEnum):
    ACCESS_DENIED = "access.denied"
    ADMIN_READ = "admin.read"
    AGENT_DISPATCHED = "agent.dispatched"
    AGENT_FAILED = "agent.failed"
    AGENT_JOINED = "agent.joined"
    AGENT_LEFT = "agent.left"
    CATEGORY_CHANGED = "category.changed"
    CATEGORY_CREATED = "category.created"
    DELIVERY_RETRIED = "delivery.retried"
    ENDPOINT_CHANGED = "endpoint.changed"
    ENDPOINT_CREATED = "endpoint.created"
    ENDPOINT_DELETED = "endpoint.deleted"
    ENDPOINT_SECRET_ROTATED = "endpoint.secret_rotated"
    INGRESS_CREATED = "ingress.created"
    INGRESS_DELETED = "ingress.deleted"
    PARTICIPANT_JOINED = "participant.joined"
    PARTICIPANT_LEFT = "participant.left"
    RECORDING_DELETED = "recording.deleted"
    RECORDING_FAILED = "recording.failed"
    RECORDING_READY = "recording.ready"
    RECORDING_STARTED = "recording.started"
    SESSION_ENDED = "session.ended"
    SESSION_STARTED = "session.started"
    TOKEN_ISSUED = "token.issued"
    TRANSCRIPT_DELETED = "transcript.deleted"
    TRANSCRIPT_READY = "transcript.ready"
    USER_ERASED = "user.erased"

    def __str__(self) -> str:
        return str(self.value)
