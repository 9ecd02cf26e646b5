from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="CounselorCategoryChange")


@_attrs_define
class CounselorCategoryChange:
    """
    Attributes:
        name (str | Unset): What users choose from
        description (str | Unset): What it is about, in a sentence or two
        system_prompt (None | str | Unset): What the agent is told; null = the default prompt
        enabled (bool | Unset): Whether sessions can be started with it
    """

    name: str | Unset = UNSET
    description: str | Unset = UNSET
    system_prompt: None | str | Unset = UNSET
    enabled: bool | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        description = self.description

        system_prompt: None | str | Unset
        if isinstance(self.system_prompt, Unset):
            system_prompt = UNSET
        else:
            system_prompt = self.system_prompt

        enabled = self.enabled

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if name is not UNSET:
            field_dict["name"] = name
        if description is not UNSET:
            field_dict["description"] = description
        if system_prompt is not UNSET:
            field_dict["system_prompt"] = system_prompt
        if enabled is not UNSET:
            field_dict["enabled"] = enabled

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        name = d.pop("name", UNSET)

        description = d.pop("description", UNSET)

        def _parse_system_prompt(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        system_prompt = _parse_system_prompt(d.pop("system_prompt", UNSET))

        enabled = d.pop("enabled", UNSET)

        counselor_category_change = cls(
            name=name,
            description=description,
            system_prompt=system_prompt,
            enabled=enabled,
        )

        return counselor_category_change
