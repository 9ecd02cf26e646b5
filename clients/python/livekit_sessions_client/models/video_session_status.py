from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.ingress_status import IngressStatus


T = TypeVar("T", bound="VideoSessionStatus")


@_attrs_define
class VideoSessionStatus:
    """Who is in the room now

    Attributes:
        room_name (str): Name of the LiveKit room
        active (bool): Somebody is in the room
        participants (int): How many, user and agent
        agent_connected (bool): An agent really is in the room
        avatar_connected (bool): The avatar really is in the room
        created_at (datetime.datetime): When the session was started
        ingress (IngressStatus | Unset): The ingress by which a stream can be brought in; missing when there is none
    """

    room_name: str
    active: bool
    participants: int
    agent_connected: bool
    avatar_connected: bool
    created_at: datetime.datetime
    ingress: IngressStatus | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        room_name = self.room_name

        active = self.active

        participants = self.participants

        agent_connected = self.agent_connected

        avatar_connected = self.avatar_connected

        created_at = self.created_at.isoformat()

        ingress: dict[str, Any] | Unset = UNSET
        if not isinstance(self.ingress, Unset):
            ingress = self.ingress.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "room_name": room_name,
                "active": active,
                "participants": participants,
                "agent_connected": agent_connected,
                "avatar_connected": avatar_connected,
                "created_at": created_at,
            }
        )
        if ingress is not UNSET:
            field_dict["ingress"] = ingress

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.ingress_status import IngressStatus

        d = dict(src_dict)
        room_name = d.pop("room_name")

        active = d.pop("active")

        participants = d.pop("participants")

        agent_connected = d.pop("agent_connected")

        avatar_connected = d.pop("avatar_connected")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        _ingress = d.pop("ingress", UNSET)
        ingress: IngressStatus | Unset
        if isinstance(_ingress, Unset):
            ingress = UNSET
        else:
            ingress = IngressStatus.from_dict(_ingress)

        video_session_status = cls(
            room_name=room_name,
            active=active,
            participants=participants,
            agent_connected=agent_connected,
            avatar_connected=avatar_connected,
            created_at=created_at,
            ingress=ingress,
        )

        video_session_status.additional_properties = d
        return video_session_status

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
