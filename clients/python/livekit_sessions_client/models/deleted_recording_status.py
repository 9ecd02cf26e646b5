from enum import StrEnum


class DeletedRecordingStatus(StrEnum):
    DELETED = "deleted"

    def __str__(self) -> str:
        return str(self.value)
