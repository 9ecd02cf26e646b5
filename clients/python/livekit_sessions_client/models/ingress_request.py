from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define

from ..models.ingress_request_input import IngressRequestInput

T = TypeVar("T", bound="IngressRequest")


@_attrs_define
class IngressRequest:
    """
    Attributes:
        input_ (IngressRequestInput): How the stream is sent
    """

    input_: IngressRequestInput

    def to_dict(self) -> dict[str, Any]:
        input_ = self.input_.value

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "input": input_,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        input_ = IngressRequestInput(d.pop("input"))

        ingress_request = cls(
            input_=input_,
        )

        return ingress_request
