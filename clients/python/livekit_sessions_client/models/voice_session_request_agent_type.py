from enum import StrEnum


class VoiceSessionRequestAgentType(StrEnum):
    DIET = "diet"
    GENERAL = "general"
    SCHEDULER = "scheduler"
    SUPPLEMENT = "supplement"
    TRACKER = "tracker"
    WORKOUT = "workout"

    def __str__(self) -> str:
        return str(self.value)
