from enum import StrEnum


class EndedVoiceSessionStatus(StrEnum):
    ENDED = "ended"

    def __str__(self) -> str:
        return str(self.value)
