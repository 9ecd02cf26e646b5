from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.overview_agent_ms import OverviewAgentMs
    from ..models.overview_agents import OverviewAgents
    from ..models.overview_live import OverviewLive


T = TypeVar("T", bound="Overview")


@_attrs_define
class Overview:
    """The sessions in numbers

    Attributes:
        live (OverviewLive): Sessions that have not ended, by mode
        agents (OverviewAgents): The same, by the state of their agent
        started (int): Sessions started in the last hour
        start_failed (int): How many of them could not be started
        agent_failed (int): For how many of them no agent could be had
        ended (int): Sessions that ended in the last hour
        agent_ms (OverviewAgentMs): From the start until the agent was there, where the first one sent for came
    """

    live: OverviewLive
    agents: OverviewAgents
    started: int
    start_failed: int
    agent_failed: int
    ended: int
    agent_ms: OverviewAgentMs
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        live = self.live.to_dict()

        agents = self.agents.to_dict()

        started = self.started

        start_failed = self.start_failed

        agent_failed = self.agent_failed

        ended = self.ended

        agent_ms = self.agent_ms.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "live": live,
                "agents": agents,
                "started": started,
                "start_failed": start_failed,
                "agent_failed": agent_failed,
                "ended": ended,
                "agent_ms": agent_ms,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.overview_agent_ms import OverviewAgentMs
        from ..models.overview_agents import OverviewAgents
        from ..models.overview_live import OverviewLive

        d = dict(src_dict)
        live = OverviewLive.from_dict(d.pop("live"))

        agents = OverviewAgents.from_dict(d.pop("agents"))

        started = d.pop("started")

        start_failed = d.pop("start_failed")

        agent_failed = d.pop("agent_failed")

        ended = d.pop("ended")

        agent_ms = OverviewAgentMs.from_dict(d.pop("agent_ms"))

        overview = cls(
            live=live,
            agents=agents,
            started=started,
            start_failed=start_failed,
            agent_failed=agent_failed,
            ended=ended,
            agent_ms=agent_ms,
        )

        overview.additional_properties = d
        return overview

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
