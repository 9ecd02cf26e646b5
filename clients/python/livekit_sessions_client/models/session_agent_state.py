from enum import StrEnum


class SessionAgentState(StrEnum):
    DISPATCHED = "dispatched"
    FAILED = "failed"
    JOINED = "joined"
    LEFT = "left"
    NONE = "none"

    def __str__(self) -> str:
        return str(self.value)
