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
    """

    agent_type: VoiceSessionRequestAgentType | Unset = (
        VoiceSessionRequestAgentType.GENERAL
    )
    transcript: bool | Unset = UNSET
    summary: bool | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        agent_type: str | Unset = UNSET
        if not isinstance(self.agent_type, Unset):
            agent_type = self.agent_type.value

        transcript = self.transcript

        summary = self.summary

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if agent_type is not UNSET:
            field_dict["agent_type"] = agent_type
        if transcript is not UNSET:
            field_dict["transcript"] = transcript
        if summary is not UNSET:
            field_dict["summary"] = summary

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

        voice_session_request = cls(
            agent_type=agent_type,
            transcript=transcript,
            summary=summary,
        )

        return voice_session_request
