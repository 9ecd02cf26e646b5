from enum import StrEnum


class MadeIngressKind(StrEnum):
    RTMP = "rtmp"
    WHIP = "whip"

    def __str__(self) -> str:
        return str(self.value)
