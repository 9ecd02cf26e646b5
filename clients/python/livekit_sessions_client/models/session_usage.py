from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.cost import Cost
    from ..models.participant_usage import ParticipantUsage


T = TypeVar("T", bound="SessionUsage")


@_attrs_define
class SessionUsage:
    """What it has used until now (docs/usage.md)

    Attributes:
        user_seconds (float): Connection of users, to the millisecond
        agent_seconds (float): Connection of agents, to the millisecond
        stt_seconds (float): Speech that was recognised, to the millisecond
        tts_seconds (float): Speech that was made, to the millisecond
        input_tokens (int): Tokens that the language model was given
        output_tokens (int): Tokens that the language model gave
        tool_calls (int): Tools that the agent called
        cost (Cost | None): What it costs by the prices of now; null where none are configured
        participants (list[ParticipantUsage]): Whoever was in the room, in the order of their first joins: the first 100
    """

    user_seconds: float
    agent_seconds: float
    stt_seconds: float
    tts_seconds: float
    input_tokens: int
    output_tokens: int
    tool_calls: int
    cost: Cost | None
    participants: list[ParticipantUsage]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.cost import Cost

        user_seconds = self.user_seconds

        agent_seconds = self.agent_seconds

        stt_seconds = self.stt_seconds

        tts_seconds = self.tts_seconds

        input_tokens = self.input_tokens

        output_tokens = self.output_tokens

        tool_calls = self.tool_calls

        cost: dict[str, Any] | None
        if isinstance(self.cost, Cost):
            cost = self.cost.to_dict()
        else:
            cost = self.cost

        participants = []
        for participants_item_data in self.participants:
            participants_item = participants_item_data.to_dict()
            participants.append(participants_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "user_seconds": user_seconds,
                "agent_seconds": agent_seconds,
                "stt_seconds": stt_seconds,
                "tts_seconds": tts_seconds,
                "input_tokens": input_tokens,
                "output_tokens": output_tokens,
                "tool_calls": tool_calls,
                "cost": cost,
                "participants": participants,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.cost import Cost
        from ..models.participant_usage import ParticipantUsage

        d = dict(src_dict)
        user_seconds = d.pop("user_seconds")

        agent_seconds = d.pop("agent_seconds")

        stt_seconds = d.pop("stt_seconds")

        tts_seconds = d.pop("tts_seconds")

        input_tokens = d.pop("input_tokens")

        output_tokens = d.pop("output_tokens")

        tool_calls = d.pop("tool_calls")

        def _parse_cost(data: object) -> Cost | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                cost_type_0 = Cost.from_dict(data)

                return cost_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(Cost | None, data)

        cost = _parse_cost(d.pop("cost"))

        participants = []
        _participants = d.pop("participants")
        for participants_item_data in _participants:
            participants_item = ParticipantUsage.from_dict(participants_item_data)

            participants.append(participants_item)

        session_usage = cls(
            user_seconds=user_seconds,
            agent_seconds=agent_seconds,
            stt_seconds=stt_seconds,
            tts_seconds=tts_seconds,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            tool_calls=tool_calls,
            cost=cost,
            participants=participants,
        )

        session_usage.additional_properties = d
        return session_usage

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
