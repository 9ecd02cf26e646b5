from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from attrs import define as _attrs_define

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.token_request_room_config_agents_item import (
        TokenRequestRoomConfigAgentsItem,
    )


T = TypeVar("T", bound="TokenRequestRoomConfig")


@_attrs_define
class TokenRequestRoomConfig:
    """
    Attributes:
        agents (list[TokenRequestRoomConfigAgentsItem] | Unset):
    """

    agents: list[TokenRequestRoomConfigAgentsItem] | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        agents: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.agents, Unset):
            agents = []
            for agents_item_data in self.agents:
                agents_item = agents_item_data.to_dict()
                agents.append(agents_item)

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if agents is not UNSET:
            field_dict["agents"] = agents

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.token_request_room_config_agents_item import (
            TokenRequestRoomConfigAgentsItem,
        )

        d = dict(src_dict)
        _agents = d.pop("agents", UNSET)
        agents: list[TokenRequestRoomConfigAgentsItem] | Unset = UNSET
        if _agents is not UNSET:
            agents = []
            for agents_item_data in _agents:
                agents_item = TokenRequestRoomConfigAgentsItem.from_dict(
                    agents_item_data
                )

                agents.append(agents_item)

        token_request_room_config = cls(
            agents=agents,
        )

        return token_request_room_config
