from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.started_voice_session_agent_type import StartedVoiceSessionAgentType

T = TypeVar("T", bound="StartedVoiceSession")


@_attrs_define
class StartedVoiceSession:
    """The room, and what it takes to join it

    Attributes:
        room_name (str): Name of the LiveKit room
        token (str): LiveKit join token: this room, this user, nothing else
        livekit_url (str): Where a LiveKit client connects to
        agent_type (StartedVoiceSessionAgentType): What the agent is for
        expires_at (datetime.datetime): When the token stops to open the room
    """

    room_name: str
    token: str
    livekit_url: str
    agent_type: StartedVoiceSessionAgentType
    expires_at: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        room_name = self.room_name

        token = self.token

        livekit_url = self.livekit_url

        agent_type = self.agent_type.value

        expires_at = self.expires_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "room_name": room_name,
                "token": token,
                "livekit_url": livekit_url,
                "agent_type": agent_type,
                "expires_at": expires_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        room_name = d.pop("room_name")

        token = d.pop("token")

        livekit_url = d.pop("livekit_url")

        agent_type = StartedVoiceSessionAgentType(d.pop("agent_type"))

        expires_at = datetime.datetime.fromisoformat(d.pop("expires_at"))

        started_voice_session = cls(
            room_name=room_name,
            token=token,
            livekit_url=livekit_url,
            agent_type=agent_type,
            expires_at=expires_at,
        )

        started_voice_session.additional_properties = d
        return started_voice_session

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
