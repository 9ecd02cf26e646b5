from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.deleted_ingress_status import DeletedIngressStatus

T = TypeVar("T", bound="DeletedIngress")


@_attrs_define
class DeletedIngress:
    """There is no ingress any more

    Attributes:
        status (DeletedIngressStatus):
        room_name (str): Name of the LiveKit room
    """

    status: DeletedIngressStatus
    room_name: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        status = self.status.value

        room_name = self.room_name

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "status": status,
                "room_name": room_name,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        status = DeletedIngressStatus(d.pop("status"))

        room_name = d.pop("room_name")

        deleted_ingress = cls(
            status=status,
            room_name=room_name,
        )

        deleted_ingress.additional_properties = d
        return deleted_ingress

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
