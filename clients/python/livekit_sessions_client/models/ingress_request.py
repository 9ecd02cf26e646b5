from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define

from ..models.ingress_request_kind import IngressRequestKind

T = TypeVar("T", bound="IngressRequest")


@_attrs_define
class IngressRequest:
    """
    Attributes:
        kind (IngressRequestKind): How the stream is sent
    """

    kind: IngressRequestKind

    def to_dict(self) -> dict[str, Any]:
        kind = self.kind.value

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "kind": kind,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        kind = IngressRequestKind(d.pop("kind"))

        ingress_request = cls(
            kind=kind,
        )

        return ingress_request
