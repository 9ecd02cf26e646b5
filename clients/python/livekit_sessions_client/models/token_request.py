from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from attrs import define as _attrs_define

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.token_request_room_config import TokenRequestRoomConfig


T = TypeVar("T", bound="TokenRequest")


@_attrs_define
class TokenRequest:
    """
    Attributes:
        room_name (str | Unset): Name of the LiveKit room
        room_config (TokenRequestRoomConfig | Unset):
        participant_name (str | Unset): The name that the user's token gives, and no other
        participant_identity (str | Unset): The identity that the user's token gives, and no other
        participant_metadata (Any | Unset): Not for clients: the service sets none
        participant_attributes (Any | Unset): Not for clients: the service sets none
    """

    room_name: str | Unset = UNSET
    room_config: TokenRequestRoomConfig | Unset = UNSET
    participant_name: str | Unset = UNSET
    participant_identity: str | Unset = UNSET
    participant_metadata: Any | Unset = UNSET
    participant_attributes: Any | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        room_name = self.room_name

        room_config: dict[str, Any] | Unset = UNSET
        if not isinstance(self.room_config, Unset):
            room_config = self.room_config.to_dict()

        participant_name = self.participant_name

        participant_identity = self.participant_identity

        participant_metadata = self.participant_metadata

        participant_attributes = self.participant_attributes

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if room_name is not UNSET:
            field_dict["room_name"] = room_name
        if room_config is not UNSET:
            field_dict["room_config"] = room_config
        if participant_name is not UNSET:
            field_dict["participant_name"] = participant_name
        if participant_identity is not UNSET:
            field_dict["participant_identity"] = participant_identity
        if participant_metadata is not UNSET:
            field_dict["participant_metadata"] = participant_metadata
        if participant_attributes is not UNSET:
            field_dict["participant_attributes"] = participant_attributes

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.token_request_room_config import TokenRequestRoomConfig

        d = dict(src_dict)
        room_name = d.pop("room_name", UNSET)

        _room_config = d.pop("room_config", UNSET)
        room_config: TokenRequestRoomConfig | Unset
        if isinstance(_room_config, Unset):
            room_config = UNSET
        else:
            room_config = TokenRequestRoomConfig.from_dict(_room_config)

        participant_name = d.pop("participant_name", UNSET)

        participant_identity = d.pop("participant_identity", UNSET)

        participant_metadata = d.pop("participant_metadata", UNSET)

        participant_attributes = d.pop("participant_attributes", UNSET)

        token_request = cls(
            room_name=room_name,
            room_config=room_config,
            participant_name=participant_name,
            participant_identity=participant_identity,
            participant_metadata=participant_metadata,
            participant_attributes=participant_attributes,
        )

        return token_request
