from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="ActiveVideoSession")


@_attrs_define
class ActiveVideoSession:
    """
    Attributes:
        room_name (str): Name of the LiveKit room
        counselor_category (None | str): Name of the category
        participants (int):
        created_at (datetime.datetime): When the session was started
    """

    room_name: str
    counselor_category: None | str
    participants: int
    created_at: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        room_name = self.room_name

        counselor_category: None | str
        counselor_category = self.counselor_category

        participants = self.participants

        created_at = self.created_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "room_name": room_name,
                "counselor_category": counselor_category,
                "participants": participants,
                "created_at": created_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        room_name = d.pop("room_name")

        def _parse_counselor_category(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        counselor_category = _parse_counselor_category(d.pop("counselor_category"))

        participants = d.pop("participants")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        active_video_session = cls(
            room_name=room_name,
            counselor_category=counselor_category,
            participants=participants,
            created_at=created_at,
        )

        active_video_session.additional_properties = d
        return active_video_session

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
