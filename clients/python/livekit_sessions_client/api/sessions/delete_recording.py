from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.deleted_recording import DeletedRecording
from ...models.problem import Problem
from ...types import Response


def _get_kwargs(
    id: UUID,
    recording_id: UUID,
) -> dict[str, Any]:

    _kwargs: dict[str, Any] = {
        "method": "delete",
        "url": "/api/v1/sessions/{id}/recordings/{recording_id}".format(
            id=quote(str(id), safe=""),
            recording_id=quote(str(recording_id), safe=""),
        ),
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> DeletedRecording | Problem | None:
    if response.status_code == 200:
        response_200 = DeletedRecording.from_dict(response.json())

        return response_200

    if response.status_code == 400:
        response_400 = Problem.from_dict(response.json())

        return response_400

    if response.status_code == 401:
        response_401 = Problem.from_dict(response.json())

        return response_401

    if response.status_code == 403:
        response_403 = Problem.from_dict(response.json())

        return response_403

    if response.status_code == 404:
        response_404 = Problem.from_dict(response.json())

        return response_404

    if response.status_code == 429:
        response_429 = Problem.from_dict(response.json())

        return response_429

    if response.status_code == 500:
        response_500 = Problem.from_dict(response.json())

        return response_500

    if response.status_code == 503:
        response_503 = Problem.from_dict(response.json())

        return response_503

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[DeletedRecording | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    id: UUID,
    recording_id: UUID,
    *,
    client: AuthenticatedClient | Client,
) -> Response[DeletedRecording | Problem]:
    """Delete a recording of a session

     For the owner, and for administrators; on record. Also while the session goes on: it is not recorded
    any further then. The file is deleted within seconds, or as soon as its storage answers; links to it
    open nothing any more.

    Args:
        id (UUID):
        recording_id (UUID):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[DeletedRecording | Problem]
    """

    kwargs = _get_kwargs(
        id=id,
        recording_id=recording_id,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    id: UUID,
    recording_id: UUID,
    *,
    client: AuthenticatedClient | Client,
) -> DeletedRecording | Problem | None:
    """Delete a recording of a session

     For the owner, and for administrators; on record. Also while the session goes on: it is not recorded
    any further then. The file is deleted within seconds, or as soon as its storage answers; links to it
    open nothing any more.

    Args:
        id (UUID):
        recording_id (UUID):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        DeletedRecording | Problem
    """

    return sync_detailed(
        id=id,
        recording_id=recording_id,
        client=client,
    ).parsed


async def asyncio_detailed(
    id: UUID,
    recording_id: UUID,
    *,
    client: AuthenticatedClient | Client,
) -> Response[DeletedRecording | Problem]:
    """Delete a recording of a session

     For the owner, and for administrators; on record. Also while the session goes on: it is not recorded
    any further then. The file is deleted within seconds, or as soon as its storage answers; links to it
    open nothing any more.

    Args:
        id (UUID):
        recording_id (UUID):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[DeletedRecording | Problem]
    """

    kwargs = _get_kwargs(
        id=id,
        recording_id=recording_id,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    id: UUID,
    recording_id: UUID,
    *,
    client: AuthenticatedClient | Client,
) -> DeletedRecording | Problem | None:
    """Delete a recording of a session

     For the owner, and for administrators; on record. Also while the session goes on: it is not recorded
    any further then. The file is deleted within seconds, or as soon as its storage answers; links to it
    open nothing any more.

    Args:
        id (UUID):
        recording_id (UUID):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        DeletedRecording | Problem
    """

    return (
        await asyncio_detailed(
            id=id,
            recording_id=recording_id,
            client=client,
        )
    ).parsed
