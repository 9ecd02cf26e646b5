from enum import StrEnum


class SessionMode(StrEnum):
    VIDEO = "video"
    VOICE = "voice"

    def __str__(self) -> str:
        return str(self.value)
