from enum import StrEnum


class SessionDetailMode(StrEnum):
    VIDEO = "video"
    VOICE = "voice"

    def __str__(self) -> str:
        return str(self.value)
