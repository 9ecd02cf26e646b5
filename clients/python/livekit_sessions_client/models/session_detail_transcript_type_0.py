from enum import StrEnum


class SessionDetailTranscriptType0(StrEnum):
    DELETED = "deleted"
    READY = "ready"
    WRITING = "writing"

    def __str__(self) -> str:
        return str(self.value)
