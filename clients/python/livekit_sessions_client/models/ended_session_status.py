from enum import StrEnum


class EndedSessionStatus(StrEnum):
    ENDED = "ended"

    def __str__(self) -> str:
        return str(self.value)
