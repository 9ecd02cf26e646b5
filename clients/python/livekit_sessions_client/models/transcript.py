from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.transcript_state import TranscriptState

if TYPE_CHECKING:
    from ..models.transcript_line import TranscriptLine


T = TypeVar("T", bound="Transcript")


@_attrs_define
class Transcript:
    """What was said

    Attributes:
        session_id (UUID): The session's id
        state (TranscriptState): Whether more may come
        began_at (datetime.datetime): When the session was started: times of captions count from then
        lines (list[TranscriptLine]): In the order in which they were said
        summary (None | str): What it was about, when the start asked for it; null until the end
    """

    session_id: UUID
    state: TranscriptState
    began_at: datetime.datetime
    lines: list[TranscriptLine]
    summary: None | str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        session_id = str(self.session_id)

        state = self.state.value

        began_at = self.began_at.isoformat()

        lines = []
        for lines_item_data in self.lines:
            lines_item = lines_item_data.to_dict()
            lines.append(lines_item)

        summary: None | str
        summary = self.summary

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "session_id": session_id,
                "state": state,
                "began_at": began_at,
                "lines": lines,
                "summary": summary,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.transcript_line import TranscriptLine

        d = dict(src_dict)
        session_id = UUID(d.pop("session_id"))

        state = TranscriptState(d.pop("state"))

        began_at = datetime.datetime.fromisoformat(d.pop("began_at"))

        lines = []
        _lines = d.pop("lines")
        for lines_item_data in _lines:
            lines_item = TranscriptLine.from_dict(lines_item_data)

            lines.append(lines_item)

        def _parse_summary(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        summary = _parse_summary(d.pop("summary"))

        transcript = cls(
            session_id=session_id,
            state=state,
            began_at=began_at,
            lines=lines,
            summary=summary,
        )

        transcript.additional_properties = d
        return transcript

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
