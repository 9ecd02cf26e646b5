from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.user_export_acts_item import UserExportActsItem
    from ..models.user_export_events_item import UserExportEventsItem
    from ..models.user_export_messages_item import UserExportMessagesItem
    from ..models.user_export_recordings_item import UserExportRecordingsItem
    from ..models.user_export_sessions_item import UserExportSessionsItem
    from ..models.user_export_transcripts_item import UserExportTranscriptsItem
    from ..models.user_export_usage_item import UserExportUsageItem


T = TypeVar("T", bound="UserExport")


@_attrs_define
class UserExport:
    """Everything that is stored of the user

    Attributes:
        sessions (list[UserExportSessionsItem]): The user's sessions, each with its participants, and what its agents
            have used
        events (list[UserExportEventsItem]): What happened in them, and was refused to the user
        acts (list[UserExportActsItem]): What the user did to what is somebody else's
        messages (list[UserExportMessagesItem]): What the app's backend was told of
        usage (list[UserExportUsageItem]): What was used, by days
        transcripts (list[UserExportTranscriptsItem]): What was said in them, where a transcript was asked for; lines
            are null where its key is gone
        recordings (list[UserExportRecordingsItem]): Where their recordings can be had, for a quarter of an hour
    """

    sessions: list[UserExportSessionsItem]
    events: list[UserExportEventsItem]
    acts: list[UserExportActsItem]
    messages: list[UserExportMessagesItem]
    usage: list[UserExportUsageItem]
    transcripts: list[UserExportTranscriptsItem]
    recordings: list[UserExportRecordingsItem]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        sessions = []
        for sessions_item_data in self.sessions:
            sessions_item = sessions_item_data.to_dict()
            sessions.append(sessions_item)

        events = []
        for events_item_data in self.events:
            events_item = events_item_data.to_dict()
            events.append(events_item)

        acts = []
        for acts_item_data in self.acts:
            acts_item = acts_item_data.to_dict()
            acts.append(acts_item)

        messages = []
        for messages_item_data in self.messages:
            messages_item = messages_item_data.to_dict()
            messages.append(messages_item)

        usage = []
        for usage_item_data in self.usage:
            usage_item = usage_item_data.to_dict()
            usage.append(usage_item)

        transcripts = []
        for transcripts_item_data in self.transcripts:
            transcripts_item = transcripts_item_data.to_dict()
            transcripts.append(transcripts_item)

        recordings = []
        for recordings_item_data in self.recordings:
            recordings_item = recordings_item_data.to_dict()
            recordings.append(recordings_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "sessions": sessions,
                "events": events,
                "acts": acts,
                "messages": messages,
                "usage": usage,
                "transcripts": transcripts,
                "recordings": recordings,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.user_export_acts_item import UserExportActsItem
        from ..models.user_export_events_item import UserExportEventsItem
        from ..models.user_export_messages_item import UserExportMessagesItem
        from ..models.user_export_recordings_item import UserExportRecordingsItem
        from ..models.user_export_sessions_item import UserExportSessionsItem
        from ..models.user_export_transcripts_item import UserExportTranscriptsItem
        from ..models.user_export_usage_item import UserExportUsageItem

        d = dict(src_dict)
        sessions = []
        _sessions = d.pop("sessions")
        for sessions_item_data in _sessions:
            sessions_item = UserExportSessionsItem.from_dict(sessions_item_data)

            sessions.append(sessions_item)

        events = []
        _events = d.pop("events")
        for events_item_data in _events:
            events_item = UserExportEventsItem.from_dict(events_item_data)

            events.append(events_item)

        acts = []
        _acts = d.pop("acts")
        for acts_item_data in _acts:
            acts_item = UserExportActsItem.from_dict(acts_item_data)

            acts.append(acts_item)

        messages = []
        _messages = d.pop("messages")
        for messages_item_data in _messages:
            messages_item = UserExportMessagesItem.from_dict(messages_item_data)

            messages.append(messages_item)

        usage = []
        _usage = d.pop("usage")
        for usage_item_data in _usage:
            usage_item = UserExportUsageItem.from_dict(usage_item_data)

            usage.append(usage_item)

        transcripts = []
        _transcripts = d.pop("transcripts")
        for transcripts_item_data in _transcripts:
            transcripts_item = UserExportTranscriptsItem.from_dict(
                transcripts_item_data
            )

            transcripts.append(transcripts_item)

        recordings = []
        _recordings = d.pop("recordings")
        for recordings_item_data in _recordings:
            recordings_item = UserExportRecordingsItem.from_dict(recordings_item_data)

            recordings.append(recordings_item)

        user_export = cls(
            sessions=sessions,
            events=events,
            acts=acts,
            messages=messages,
            usage=usage,
            transcripts=transcripts,
            recordings=recordings,
        )

        user_export.additional_properties = d
        return user_export

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
