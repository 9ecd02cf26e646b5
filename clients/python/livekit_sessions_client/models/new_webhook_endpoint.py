from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define

from ..models.new_webhook_endpoint_events_item import NewWebhookEndpointEventsItem
from ..types import UNSET, Unset

T = TypeVar("T", bound="NewWebhookEndpoint")


@_attrs_define
class NewWebhookEndpoint:
    """
    Attributes:
        url (str): Where messages are posted to: https://, a public address
        events (list[NewWebhookEndpointEventsItem]): What it is told of
        description (str | Unset): What it is for
        enabled (bool | Unset): Whether it is told of anything; what was to be delivered before waits
    """

    url: str
    events: list[NewWebhookEndpointEventsItem]
    description: str | Unset = UNSET
    enabled: bool | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        url = self.url

        events = []
        for events_item_data in self.events:
            events_item = events_item_data.value
            events.append(events_item)

        description = self.description

        enabled = self.enabled

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "url": url,
                "events": events,
            }
        )
        if description is not UNSET:
            field_dict["description"] = description
        if enabled is not UNSET:
            field_dict["enabled"] = enabled

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        url = d.pop("url")

        events = []
        _events = d.pop("events")
        for events_item_data in _events:
            events_item = NewWebhookEndpointEventsItem(events_item_data)

            events.append(events_item)

        description = d.pop("description", UNSET)

        enabled = d.pop("enabled", UNSET)

        new_webhook_endpoint = cls(
            url=url,
            events=events,
            description=description,
            enabled=enabled,
        )

        return new_webhook_endpoint
