from enum import StrEnum


class RecordingState(StrEnum):
    DELETED = "deleted"
    FAILED = "failed"
    PENDING = "pending"
    READY = "ready"
    RECORDING = "recording"

    def __str__(self) -> str:
        return str(self.value)
