from enum import StrEnum


class ErasedUserStatus(StrEnum):
    ERASED = "erased"
    ERASING = "erasing"

    def __str__(self) -> str:
        return str(self.value)
