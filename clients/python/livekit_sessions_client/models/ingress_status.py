from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.ingress_status_kind import IngressStatusKind
from ..models.ingress_status_state import IngressStatusState

T = TypeVar("T", bound="IngressStatus")


@_attrs_define
class IngressStatus:
    """The ingress by which a stream can be brought in; missing when there is none

    Attributes:
        kind (IngressStatusKind): How the stream is sent
        state (IngressStatusState): Being made, there, or being removed
        live (bool): Its stream is in the room now
    """

    kind: IngressStatusKind
    state: IngressStatusState
    live: bool
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        kind = self.kind.value

        state = self.state.value

        live = self.live

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "kind": kind,
                "state": state,
                "live": live,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        kind = IngressStatusKind(d.pop("kind"))

        state = IngressStatusState(d.pop("state"))

        live = d.pop("live")

        ingress_status = cls(
            kind=kind,
            state=state,
            live=live,
        )

        ingress_status.additional_properties = d
        return ingress_status

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
