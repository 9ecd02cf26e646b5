from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.problem import Problem
from ...models.started_video_session import StartedVideoSession
from ...models.video_session_request import VideoSessionRequest
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: VideoSessionRequest,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["idempotency-key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/video/create-room",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Problem | StartedVideoSession | None:
    if response.status_code == 200:
        response_200 = StartedVideoSession.from_dict(response.json())

        return response_200

    if response.status_code == 400:
        response_400 = Problem.from_dict(response.json())

        return response_400

    if response.status_code == 401:
        response_401 = Problem.from_dict(response.json())

        return response_401

    if response.status_code == 404:
        response_404 = Problem.from_dict(response.json())

        return response_404

    if response.status_code == 409:
        response_409 = Problem.from_dict(response.json())

        return response_409

    if response.status_code == 413:
        response_413 = Problem.from_dict(response.json())

        return response_413

    if response.status_code == 415:
        response_415 = Problem.from_dict(response.json())

        return response_415

    if response.status_code == 422:
        response_422 = Problem.from_dict(response.json())

        return response_422

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
) -> Response[Problem | StartedVideoSession]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: VideoSessionRequest,
    idempotency_key: str | Unset = UNSET,
) -> Response[Problem | StartedVideoSession]:
    """Start a video session (the same as /api/v1/video/create-room)

     Creates a room, waits until its avatar agent is on its way, and answers with a token to join it.
    With an Idempotency-Key, the same request again gives the same room and a fresh token.

    Args:
        idempotency_key (str | Unset):
        body (VideoSessionRequest):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | StartedVideoSession]
    """

    kwargs = _get_kwargs(
        body=body,
        idempotency_key=idempotency_key,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    body: VideoSessionRequest,
    idempotency_key: str | Unset = UNSET,
) -> Problem | StartedVideoSession | None:
    """Start a video session (the same as /api/v1/video/create-room)

     Creates a room, waits until its avatar agent is on its way, and answers with a token to join it.
    With an Idempotency-Key, the same request again gives the same room and a fresh token.

    Args:
        idempotency_key (str | Unset):
        body (VideoSessionRequest):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | StartedVideoSession
    """

    return sync_detailed(
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: VideoSessionRequest,
    idempotency_key: str | Unset = UNSET,
) -> Response[Problem | StartedVideoSession]:
    """Start a video session (the same as /api/v1/video/create-room)

     Creates a room, waits until its avatar agent is on its way, and answers with a token to join it.
    With an Idempotency-Key, the same request again gives the same room and a fresh token.

    Args:
        idempotency_key (str | Unset):
        body (VideoSessionRequest):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | StartedVideoSession]
    """

    kwargs = _get_kwargs(
        body=body,
        idempotency_key=idempotency_key,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    body: VideoSessionRequest,
    idempotency_key: str | Unset = UNSET,
) -> Problem | StartedVideoSession | None:
    """Start a video session (the same as /api/v1/video/create-room)

     Creates a room, waits until its avatar agent is on its way, and answers with a token to join it.
    With an Idempotency-Key, the same request again gives the same room and a fresh token.

    Args:
        idempotency_key (str | Unset):
        body (VideoSessionRequest):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | StartedVideoSession
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
