from enum import StrEnum


class ListSessionsMode(StrEnum):
    VIDEO = "video"
    VOICE = "voice"

    def __str__(self) -> str:
        return str(self.value)
