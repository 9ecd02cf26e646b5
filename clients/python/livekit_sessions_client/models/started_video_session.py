from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="StartedVideoSession")


@_attrs_define
class StartedVideoSession:
    """The room, and what it takes to join it

    Attributes:
        room_url (str): LiveKit's address as https:// (or http://)
        access_token (str): LiveKit join token: this room, this user, microphone only
        room_name (str): Name of the LiveKit room
        session_id (UUID): The session's id
    """

    room_url: str
    access_token: str
    room_name: str
    session_id: UUID
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        room_url = self.room_url

        access_token = self.access_token

        room_name = self.room_name

        session_id = str(self.session_id)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "room_url": room_url,
                "access_token": access_token,
                "room_name": room_name,
                "session_id": session_id,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        room_url = d.pop("room_url")

        access_token = d.pop("access_token")

        room_name = d.pop("room_name")

        session_id = UUID(d.pop("session_id"))

        started_video_session = cls(
            room_url=room_url,
            access_token=access_token,
            room_name=room_name,
            session_id=session_id,
        )

        started_video_session.additional_properties = d
        return started_video_session

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
