from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.deleted_recording_status import DeletedRecordingStatus

T = TypeVar("T", bound="DeletedRecording")


@_attrs_define
class DeletedRecording:
    """The recording is over, and its file is gone soon

    Attributes:
        status (DeletedRecordingStatus):
        id (UUID): The recording's id
    """

    status: DeletedRecordingStatus
    id: UUID
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        status = self.status.value

        id = str(self.id)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "status": status,
                "id": id,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        status = DeletedRecordingStatus(d.pop("status"))

        id = UUID(d.pop("id"))

        deleted_recording = cls(
            status=status,
            id=id,
        )

        deleted_recording.additional_properties = d
        return deleted_recording

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
