from enum import StrEnum


class IngressRequestInput(StrEnum):
    RTMP = "rtmp"
    WHIP = "whip"

    def __str__(self) -> str:
        return str(self.value)
