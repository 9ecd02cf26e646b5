from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.made_ingress_kind import MadeIngressKind

T = TypeVar("T", bound="MadeIngress")


@_attrs_define
class MadeIngress:
    """The ingress, and what it takes to send a stream into it

    Attributes:
        room_name (str): Name of the LiveKit room
        kind (MadeIngressKind): How the stream is sent
        url (str): Where it is sent to
        stream_key (str): The key that opens it, to whoever has it; told in this answer only. With WHIP it is the bearer
            token
    """

    room_name: str
    kind: MadeIngressKind
    url: str
    stream_key: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        room_name = self.room_name

        kind = self.kind.value

        url = self.url

        stream_key = self.stream_key

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "room_name": room_name,
                "kind": kind,
                "url": url,
                "stream_key": stream_key,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        room_name = d.pop("room_name")

        kind = MadeIngressKind(d.pop("kind"))

        url = d.pop("url")

        stream_key = d.pop("stream_key")

        made_ingress = cls(
            room_name=room_name,
            kind=kind,
            url=url,
            stream_key=stream_key,
        )

        made_ingress.additional_properties = d
        return made_ingress

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
