from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.webhook_delivery_state import WebhookDeliveryState
from ..models.webhook_delivery_type import WebhookDeliveryType

T = TypeVar("T", bound="WebhookDelivery")


@_attrs_define
class WebhookDelivery:
    """A message to the endpoint

    Attributes:
        id (str): The delivery's id
        message_id (str): The webhook-id of every attempt
        session_id (UUID): The session's id
        type_ (WebhookDeliveryType): What it tells
        at (datetime.datetime): When that happened
        state (WebhookDeliveryState): On its way, answered 2xx, or given up after a day
        attempts (int):
        attempted_at (datetime.datetime | None): When it was tried last
        next_attempt_at (datetime.datetime | None): When it is tried next; null when it is over, or has not been tried
            yet
        status (int | None): HTTP status of the last answer; null = there was none
        error (None | str): Why the last attempt failed
    """

    id: str
    message_id: str
    session_id: UUID
    type_: WebhookDeliveryType
    at: datetime.datetime
    state: WebhookDeliveryState
    attempts: int
    attempted_at: datetime.datetime | None
    next_attempt_at: datetime.datetime | None
    status: int | None
    error: None | str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        message_id = self.message_id

        session_id = str(self.session_id)

        type_ = self.type_.value

        at = self.at.isoformat()

        state = self.state.value

        attempts = self.attempts

        attempted_at: None | str
        if isinstance(self.attempted_at, datetime.datetime):
            attempted_at = self.attempted_at.isoformat()
        else:
            attempted_at = self.attempted_at

        next_attempt_at: None | str
        if isinstance(self.next_attempt_at, datetime.datetime):
            next_attempt_at = self.next_attempt_at.isoformat()
        else:
            next_attempt_at = self.next_attempt_at

        status: int | None
        status = self.status

        error: None | str
        error = self.error

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "message_id": message_id,
                "session_id": session_id,
                "type": type_,
                "at": at,
                "state": state,
                "attempts": attempts,
                "attempted_at": attempted_at,
                "next_attempt_at": next_attempt_at,
                "status": status,
                "error": error,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        id = d.pop("id")

        message_id = d.pop("message_id")

        session_id = UUID(d.pop("session_id"))

        type_ = WebhookDeliveryType(d.pop("type"))

        at = datetime.datetime.fromisoformat(d.pop("at"))

        state = WebhookDeliveryState(d.pop("state"))

        attempts = d.pop("attempts")

        def _parse_attempted_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                attempted_at_type_0 = datetime.datetime.fromisoformat(data)

                return attempted_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        attempted_at = _parse_attempted_at(d.pop("attempted_at"))

        def _parse_next_attempt_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                next_attempt_at_type_0 = datetime.datetime.fromisoformat(data)

                return next_attempt_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        next_attempt_at = _parse_next_attempt_at(d.pop("next_attempt_at"))

        def _parse_status(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        status = _parse_status(d.pop("status"))

        def _parse_error(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        error = _parse_error(d.pop("error"))

        webhook_delivery = cls(
            id=id,
            message_id=message_id,
            session_id=session_id,
            type_=type_,
            at=at,
            state=state,
            attempts=attempts,
            attempted_at=attempted_at,
            next_attempt_at=next_attempt_at,
            status=status,
            error=error,
        )

        webhook_delivery.additional_properties = d
        return webhook_delivery

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
