from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar
from uuid import UUID

from attrs import define as _attrs_define

T = TypeVar("T", bound="VideoSessionRequest")


@_attrs_define
class VideoSessionRequest:
    """
    Attributes:
        counselor_category (UUID): The counsellor category's id
    """

    counselor_category: UUID

    def to_dict(self) -> dict[str, Any]:
        counselor_category = str(self.counselor_category)

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "counselor_category": counselor_category,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        counselor_category = UUID(d.pop("counselor_category"))

        video_session_request = cls(
            counselor_category=counselor_category,
        )

        return video_session_request
