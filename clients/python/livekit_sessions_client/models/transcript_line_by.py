from enum import StrEnum


class TranscriptLineBy(StrEnum):
    AGENT = "agent"
    TOOL = "tool"
    USER = "user"

    def __str__(self) -> str:
        return str(self.value)
