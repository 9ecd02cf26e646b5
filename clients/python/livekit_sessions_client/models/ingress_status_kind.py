from enum import StrEnum


class IngressStatusKind(StrEnum):
    RTMP = "rtmp"
    WHIP = "whip"

    def __str__(self) -> str:
        return str(self.value)
