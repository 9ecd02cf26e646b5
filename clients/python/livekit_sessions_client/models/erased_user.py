from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.erased_user_status import ErasedUserStatus

T = TypeVar("T", bound="ErasedUser")


@_attrs_define
class ErasedUser:
    """What may go now is gone

    Attributes:
        status (ErasedUserStatus): Gone, or going: a session whose room could come back, or of which a message is on its
            way, and files of recordings go last
    """

    status: ErasedUserStatus
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        status = self.status.value

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "status": status,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        status = ErasedUserStatus(d.pop("status"))

        erased_user = cls(
            status=status,
        )

        erased_user.additional_properties = d
        return erased_user

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
