from enum import StrEnum


class DeletedTranscriptStatus(StrEnum):
    DELETED = "deleted"

    def __str__(self) -> str:
        return str(self.value)
