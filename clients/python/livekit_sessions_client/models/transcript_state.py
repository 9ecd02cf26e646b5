from enum import StrEnum


class TranscriptState(StrEnum):
    READY = "ready"
    WRITING = "writing"

    def __str__(self) -> str:
        return str(self.value)
