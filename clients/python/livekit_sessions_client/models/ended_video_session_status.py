from enum import StrEnum


class EndedVideoSessionStatus(StrEnum):
    ENDED = "ended"

    def __str__(self) -> str:
        return str(self.value)
