from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.ingress_kind import IngressKind
from ..models.ingress_state import IngressState

T = TypeVar("T", bound="Ingress")


@_attrs_define
class Ingress:
    """
    Attributes:
        kind (IngressKind): How the stream is sent
        state (IngressState): Being made, there, or being removed
    """

    kind: IngressKind
    state: IngressState
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        kind = self.kind.value

        state = self.state.value

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "kind": kind,
                "state": state,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        kind = IngressKind(d.pop("kind"))

        state = IngressState(d.pop("state"))

        ingress = cls(
            kind=kind,
            state=state,
        )

        ingress.additional_properties = d
        return ingress

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
