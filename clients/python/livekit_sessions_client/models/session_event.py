from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.session_event_type import SessionEventType

if TYPE_CHECKING:
    from ..models.session_event_data import SessionEventData


T = TypeVar("T", bound="SessionEvent")


@_attrs_define
class SessionEvent:
    """
    Attributes:
        at (datetime.datetime): When
        type_ (SessionEventType): What
        actor (str): Who: user:<id>, admin:<id>, livekit or service
        data (SessionEventData): What belongs to it
    """

    at: datetime.datetime
    type_: SessionEventType
    actor: str
    data: SessionEventData
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        at = self.at.isoformat()

        type_ = self.type_.value

        actor = self.actor

        data = self.data.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "at": at,
                "type": type_,
                "actor": actor,
                "data": data,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.session_event_data import SessionEventData

        d = dict(src_dict)
        at = datetime.datetime.fromisoformat(d.pop("at"))

        type_ = SessionEventType(d.pop("type"))

        actor = d.pop("actor")

        data = SessionEventData.from_dict(d.pop("data"))

        session_event = cls(
            at=at,
            type_=type_,
            actor=actor,
            data=data,
        )

        session_event.additional_properties = d
        return session_event

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
