from enum import StrEnum


class IngressKind(StrEnum):
    RTMP = "rtmp"
    WHIP = "whip"

    def __str__(self) -> str:
        return str(self.value)
