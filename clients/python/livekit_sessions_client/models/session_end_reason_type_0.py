from enum import StrEnum


class SessionEndReasonType0(StrEnum):
    ADMIN = "admin"
    AGENT = "agent"
    AGENT_FAILED = "agent_failed"
    IDLE = "idle"
    LOST = "lost"
    MAX_DURATION = "max_duration"
    START_FAILED = "start_failed"
    USER = "user"

    def __str__(self) -> str:
        return str(self.value)
