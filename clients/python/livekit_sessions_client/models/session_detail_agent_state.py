from enum import StrEnum


class SessionDetailAgentState(StrEnum):
    DISPATCHED = "dispatched"
    FAILED = "failed"
    JOINED = "joined"
    LEFT = "left"
    NONE = "none"

    def __str__(self) -> str:
        return str(self.value)
