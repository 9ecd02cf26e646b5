from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.transcript_line_by import TranscriptLineBy

T = TypeVar("T", bound="TranscriptLine")


@_attrs_define
class TranscriptLine:
    """
    Attributes:
        at (datetime.datetime): When its first word was said
        until (datetime.datetime): When its last word was said
        by (TranscriptLineBy): Who said it; a tool that the agent used is a line, too
        text (str): What was said; of a tool, its name
    """

    at: datetime.datetime
    until: datetime.datetime
    by: TranscriptLineBy
    text: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        at = self.at.isoformat()

        until = self.until.isoformat()

        by = self.by.value

        text = self.text

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "at": at,
                "until": until,
                "by": by,
                "text": text,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        at = datetime.datetime.fromisoformat(d.pop("at"))

        until = datetime.datetime.fromisoformat(d.pop("until"))

        by = TranscriptLineBy(d.pop("by"))

        text = d.pop("text")

        transcript_line = cls(
            at=at,
            until=until,
            by=by,
            text=text,
        )

        transcript_line.additional_properties = d
        return transcript_line

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
