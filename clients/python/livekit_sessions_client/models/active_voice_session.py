from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.active_voice_session_agent_type import ActiveVoiceSessionAgentType

T = TypeVar("T", bound="ActiveVoiceSession")


@_attrs_define
class ActiveVoiceSession:
    """
    Attributes:
        room_name (str): Name of the LiveKit room
        agent_type (ActiveVoiceSessionAgentType): What the agent is for
        participants (int):
        created_at (datetime.datetime): When the session was started
    """

    room_name: str
    agent_type: ActiveVoiceSessionAgentType
    participants: int
    created_at: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        room_name = self.room_name

        agent_type = self.agent_type.value

        participants = self.participants

        created_at = self.created_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "room_name": room_name,
                "agent_type": agent_type,
                "participants": participants,
                "created_at": created_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        room_name = d.pop("room_name")

        agent_type = ActiveVoiceSessionAgentType(d.pop("agent_type"))

        participants = d.pop("participants")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        active_voice_session = cls(
            room_name=room_name,
            agent_type=agent_type,
            participants=participants,
            created_at=created_at,
        )

        active_voice_session.additional_properties = d
        return active_voice_session

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
