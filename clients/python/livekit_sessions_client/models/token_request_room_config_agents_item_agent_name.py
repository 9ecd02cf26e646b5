from enum import StrEnum


class TokenRequestRoomConfigAgentsItemAgentName(StrEnum):
    VOICE_AGENT = "voice-agent"

    def __str__(self) -> str:
        return str(self.value)
