from enum import StrEnum


class IngressState(StrEnum):
    MAKING = "making"
    READY = "ready"
    REMOVING = "removing"

    def __str__(self) -> str:
        return str(self.value)
