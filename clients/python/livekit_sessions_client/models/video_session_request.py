from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar
from uuid import UUID

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="VideoSessionRequest")


@_attrs_define
class VideoSessionRequest:
    """
    Attributes:
        counselor_category (UUID): The counsellor category's id
        transcript (bool | Unset): Whether what is said is written down (docs/transcripts.md); 422 where no transcripts
            are kept
        recording (bool | Unset): Whether the session is recorded, which LiveKit shows to the room (docs/recordings.md);
            422 where none are made
    """

    counselor_category: UUID
    transcript: bool | Unset = UNSET
    recording: bool | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        counselor_category = str(self.counselor_category)

        transcript = self.transcript

        recording = self.recording

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "counselor_category": counselor_category,
            }
        )
        if transcript is not UNSET:
            field_dict["transcript"] = transcript
        if recording is not UNSET:
            field_dict["recording"] = recording

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        counselor_category = UUID(d.pop("counselor_category"))

        transcript = d.pop("transcript", UNSET)

        recording = d.pop("recording", UNSET)

        video_session_request = cls(
            counselor_category=counselor_category,
            transcript=transcript,
            recording=recording,
        )

        return video_session_request
