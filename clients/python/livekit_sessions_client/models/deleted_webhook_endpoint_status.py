from enum import StrEnum


class DeletedWebhookEndpointStatus(StrEnum):
    DELETED = "deleted"

    def __str__(self) -> str:
        return str(self.value)
