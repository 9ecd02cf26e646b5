from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.session_agent_type import SessionAgentType
from ..models.session_end_reason_type_0 import SessionEndReasonType0
from ..models.session_mode import SessionMode
from ..models.session_state import SessionState
from ..models.session_transcript_type_0 import SessionTranscriptType0
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.ingress import Ingress
    from ..models.recording import Recording
    from ..models.session_agent import SessionAgent


T = TypeVar("T", bound="Session")


@_attrs_define
class Session:
    """
    Attributes:
        id (UUID): The session's id
        mode (SessionMode): Voice or video
        room_name (str): Name of the LiveKit room
        user_id (str): Whose session it is
        state (SessionState): Where it is on its way
        end_reason (None | SessionEndReasonType0): Why it ended; null while it has not
        agent (SessionAgent):
        transcript (None | SessionTranscriptType0): What was said: being written, whole, or deleted; null when no
            transcript was asked for
        recording (None | Recording): The recording; null when none was asked for
        ingress (Ingress | None): The ingress by which its user can bring in a stream; null when there is none
        created_at (datetime.datetime): When it was started
        ended_at (datetime.datetime | None): When it ended
        expires_at (datetime.datetime): When it ends at the latest
        agent_type (SessionAgentType | Unset): What the agent is for
        counselor_category (str | Unset): Name of the counsellor category of a video session
        language (str | Unset): Language that was asked for (BCP 47); the agent's own when missing
        text_only (bool | Unset): Whether it was started as a conversation in writing
    """

    id: UUID
    mode: SessionMode
    room_name: str
    user_id: str
    state: SessionState
    end_reason: None | SessionEndReasonType0
    agent: SessionAgent
    transcript: None | SessionTranscriptType0
    recording: None | Recording
    ingress: Ingress | None
    created_at: datetime.datetime
    ended_at: datetime.datetime | None
    expires_at: datetime.datetime
    agent_type: SessionAgentType | Unset = UNSET
    counselor_category: str | Unset = UNSET
    language: str | Unset = UNSET
    text_only: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.ingress import Ingress
        from ..models.recording import Recording

        id = str(self.id)

        mode = self.mode.value

        room_name = self.room_name

        user_id = self.user_id

        state = self.state.value

        end_reason: None | str
        if isinstance(self.end_reason, SessionEndReasonType0):
            end_reason = self.end_reason.value
        else:
            end_reason = self.end_reason

        agent = self.agent.to_dict()

        transcript: None | str
        if isinstance(self.transcript, SessionTranscriptType0):
            transcript = self.transcript.value
        else:
            transcript = self.transcript

        recording: dict[str, Any] | None
        if isinstance(self.recording, Recording):
            recording = self.recording.to_dict()
        else:
            recording = self.recording

        ingress: dict[str, Any] | None
        if isinstance(self.ingress, Ingress):
            ingress = self.ingress.to_dict()
        else:
            ingress = self.ingress

        created_at = self.created_at.isoformat()

        ended_at: None | str
        if isinstance(self.ended_at, datetime.datetime):
            ended_at = self.ended_at.isoformat()
        else:
            ended_at = self.ended_at

        expires_at = self.expires_at.isoformat()

        agent_type: str | Unset = UNSET
        if not isinstance(self.agent_type, Unset):
            agent_type = self.agent_type.value

        counselor_category = self.counselor_category

        language = self.language

        text_only = self.text_only

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "mode": mode,
                "room_name": room_name,
                "user_id": user_id,
                "state": state,
                "end_reason": end_reason,
                "agent": agent,
                "transcript": transcript,
                "recording": recording,
                "ingress": ingress,
                "created_at": created_at,
                "ended_at": ended_at,
                "expires_at": expires_at,
            }
        )
        if agent_type is not UNSET:
            field_dict["agent_type"] = agent_type
        if counselor_category is not UNSET:
            field_dict["counselor_category"] = counselor_category
        if language is not UNSET:
            field_dict["language"] = language
        if text_only is not UNSET:
            field_dict["text_only"] = text_only

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.ingress import Ingress
        from ..models.recording import Recording
        from ..models.session_agent import SessionAgent

        d = dict(src_dict)
        id = UUID(d.pop("id"))

        mode = SessionMode(d.pop("mode"))

        room_name = d.pop("room_name")

        user_id = d.pop("user_id")

        state = SessionState(d.pop("state"))

        def _parse_end_reason(data: object) -> None | SessionEndReasonType0:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                end_reason_type_0 = SessionEndReasonType0(data)

                return end_reason_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | SessionEndReasonType0, data)

        end_reason = _parse_end_reason(d.pop("end_reason"))

        agent = SessionAgent.from_dict(d.pop("agent"))

        def _parse_transcript(data: object) -> None | SessionTranscriptType0:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                transcript_type_0 = SessionTranscriptType0(data)

                return transcript_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | SessionTranscriptType0, data)

        transcript = _parse_transcript(d.pop("transcript"))

        def _parse_recording(data: object) -> None | Recording:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                recording_type_0 = Recording.from_dict(data)

                return recording_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Recording, data)

        recording = _parse_recording(d.pop("recording"))

        def _parse_ingress(data: object) -> Ingress | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                ingress_type_0 = Ingress.from_dict(data)

                return ingress_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(Ingress | None, data)

        ingress = _parse_ingress(d.pop("ingress"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        def _parse_ended_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                ended_at_type_0 = datetime.datetime.fromisoformat(data)

                return ended_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        ended_at = _parse_ended_at(d.pop("ended_at"))

        expires_at = datetime.datetime.fromisoformat(d.pop("expires_at"))

        _agent_type = d.pop("agent_type", UNSET)
        agent_type: SessionAgentType | Unset
        if isinstance(_agent_type, Unset):
            agent_type = UNSET
        else:
            agent_type = SessionAgentType(_agent_type)

        counselor_category = d.pop("counselor_category", UNSET)

        language = d.pop("language", UNSET)

        text_only = d.pop("text_only", UNSET)

        session = cls(
            id=id,
            mode=mode,
            room_name=room_name,
            user_id=user_id,
            state=state,
            end_reason=end_reason,
            agent=agent,
            transcript=transcript,
            recording=recording,
            ingress=ingress,
            created_at=created_at,
            ended_at=ended_at,
            expires_at=expires_at,
            agent_type=agent_type,
            counselor_category=counselor_category,
            language=language,
            text_only=text_only,
        )

        session.additional_properties = d
        return session

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
