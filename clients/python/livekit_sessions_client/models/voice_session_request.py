from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define

from ..models.voice_session_request_agent_type import VoiceSessionRequestAgentType
from ..types import UNSET, Unset

T = TypeVar("T", bound="VoiceSessionRequest")


@_attrs_define
class VoiceSessionRequest:
    """
    Attributes:
        agent_type (VoiceSessionRequestAgentType | Unset): What the agent is for Default:
            VoiceSessionRequestAgentType.GENERAL.
        transcript (bool | Unset): Whether what is said is written down (docs/transcripts.md); 422 where no transcripts
            are kept
        summary (bool | Unset): Whether the transcript is to have a summary, made at the end by the same language model;
            with `transcript` only
        recording (bool | Unset): Whether the session is recorded, which LiveKit shows to the room (docs/recordings.md);
            422 where none are made
        text_only (bool | Unset): A conversation in writing: the user types (topic lk.chat), the agent answers as text
            (topic lk.transcription); the join token allows no microphone
        language (str | Unset): The language that the user would like to speak (BCP 47). An agent that does not know it
            speaks its own
    """

    agent_type: VoiceSessionRequestAgentType | Unset = (
        VoiceSessionRequestAgentType.GENERAL
    )
    transcript: bool | Unset = UNSET
    summary: bool | Unset = UNSET
    recording: bool | Unset = UNSET
    text_only: bool | Unset = UNSET
    language: str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        agent_type: str | Unset = UNSET
        if not isinstance(self.agent_type, Unset):
            agent_type = self.agent_type.value

        transcript = self.transcript

        summary = self.summary

        recording = self.recording

        text_only = self.text_only

        language = self.language

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if agent_type is not UNSET:
            field_dict["agent_type"] = agent_type
        if transcript is not UNSET:
            field_dict["transcript"] = transcript
        if summary is not UNSET:
            field_dict["summary"] = summary
        if recording is not UNSET:
            field_dict["recording"] = recording
        if text_only is not UNSET:
            field_dict["text_only"] = text_only
        if language is not UNSET:
            field_dict["language"] = language

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        _agent_type = d.pop("agent_type", UNSET)
        agent_type: VoiceSessionRequestAgentType | Unset
        if isinstance(_agent_type, Unset):
            agent_type = UNSET
        else:
            agent_type = VoiceSessionRequestAgentType(_agent_type)

        transcript = d.pop("transcript", UNSET)

        summary = d.pop("summary", UNSET)

        recording = d.pop("recording", UNSET)

        text_only = d.pop("text_only", UNSET)

        language = d.pop("language", UNSET)

        voice_session_request = cls(
            agent_type=agent_type,
            transcript=transcript,
            summary=summary,
            recording=recording,
            text_only=text_only,
            language=language,
        )

        return voice_session_request
