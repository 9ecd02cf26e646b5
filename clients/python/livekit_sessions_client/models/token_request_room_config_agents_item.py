from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define

from ..models.token_request_room_config_agents_item_agent_name import (
    TokenRequestRoomConfigAgentsItemAgentName,
)
from ..types import UNSET, Unset

T = TypeVar("T", bound="TokenRequestRoomConfigAgentsItem")


@_attrs_define
class TokenRequestRoomConfigAgentsItem:
    """
    Attributes:
        agent_name (TokenRequestRoomConfigAgentsItemAgentName | Unset): The configured voice agent, and no other
        metadata (str | Unset): JSON: what the agent is for
        deployment (Any | Unset): Not for clients: where an agent runs
    """

    agent_name: TokenRequestRoomConfigAgentsItemAgentName | Unset = UNSET
    metadata: str | Unset = UNSET
    deployment: Any | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        agent_name: str | Unset = UNSET
        if not isinstance(self.agent_name, Unset):
            agent_name = self.agent_name.value

        metadata = self.metadata

        deployment = self.deployment

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if agent_name is not UNSET:
            field_dict["agent_name"] = agent_name
        if metadata is not UNSET:
            field_dict["metadata"] = metadata
        if deployment is not UNSET:
            field_dict["deployment"] = deployment

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        _agent_name = d.pop("agent_name", UNSET)
        agent_name: TokenRequestRoomConfigAgentsItemAgentName | Unset
        if isinstance(_agent_name, Unset):
            agent_name = UNSET
        else:
            agent_name = TokenRequestRoomConfigAgentsItemAgentName(_agent_name)

        metadata = d.pop("metadata", UNSET)

        deployment = d.pop("deployment", UNSET)

        token_request_room_config_agents_item = cls(
            agent_name=agent_name,
            metadata=metadata,
            deployment=deployment,
        )

        return token_request_room_config_agents_item
