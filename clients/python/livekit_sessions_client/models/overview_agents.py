from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="OverviewAgents")


@_attrs_define
class OverviewAgents:
    """The same, by the state of their agent

    Attributes:
        none (int):
        dispatched (int):
        joined (int):
        left (int):
        failed (int):
    """

    none: int
    dispatched: int
    joined: int
    left: int
    failed: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        none = self.none

        dispatched = self.dispatched

        joined = self.joined

        left = self.left

        failed = self.failed

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "none": none,
                "dispatched": dispatched,
                "joined": joined,
                "left": left,
                "failed": failed,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        none = d.pop("none")

        dispatched = d.pop("dispatched")

        joined = d.pop("joined")

        left = d.pop("left")

        failed = d.pop("failed")

        overview_agents = cls(
            none=none,
            dispatched=dispatched,
            joined=joined,
            left=left,
            failed=failed,
        )

        overview_agents.additional_properties = d
        return overview_agents

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
