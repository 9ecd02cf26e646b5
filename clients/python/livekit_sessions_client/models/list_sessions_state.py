from enum import StrEnum


class ListSessionsState(StrEnum):
    ENDED = "ended"
    ENDING = "ending"
    LIVE = "live"
    STARTING = "starting"

    def __str__(self) -> str:
        return str(self.value)
