from enum import StrEnum


class IngressRequestKind(StrEnum):
    RTMP = "rtmp"
    WHIP = "whip"

    def __str__(self) -> str:
        return str(self.value)
