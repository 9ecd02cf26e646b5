import datetime
from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.list_sessions_mode import ListSessionsMode
from ...models.list_sessions_state import ListSessionsState
from ...models.problem import Problem
from ...models.session_page import SessionPage
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    limit: str | Unset = "20",
    cursor: str | Unset = UNSET,
    mode: ListSessionsMode | Unset = UNSET,
    state: ListSessionsState | Unset = UNSET,
    from_: datetime.datetime | Unset = UNSET,
    to: datetime.datetime | Unset = UNSET,
    user_id: str | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["limit"] = limit

    params["cursor"] = cursor

    json_mode: str | Unset = UNSET
    if not isinstance(mode, Unset):
        json_mode = mode.value

    params["mode"] = json_mode

    json_state: str | Unset = UNSET
    if not isinstance(state, Unset):
        json_state = state.value

    params["state"] = json_state

    json_from_: str | Unset = UNSET
    if not isinstance(from_, Unset):
        json_from_ = from_.isoformat()
    params["from"] = json_from_

    json_to: str | Unset = UNSET
    if not isinstance(to, Unset):
        json_to = to.isoformat()
    params["to"] = json_to

    params["user_id"] = user_id

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/v1/sessions",
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Problem | SessionPage | None:
    if response.status_code == 200:
        response_200 = SessionPage.from_dict(response.json())

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
) -> Response[Problem | SessionPage]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    limit: str | Unset = "20",
    cursor: str | Unset = UNSET,
    mode: ListSessionsMode | Unset = UNSET,
    state: ListSessionsState | Unset = UNSET,
    from_: datetime.datetime | Unset = UNSET,
    to: datetime.datetime | Unset = UNSET,
    user_id: str | Unset = UNSET,
) -> Response[Problem | SessionPage]:
    """List past and present sessions

     The caller's own, newest first; administrators see everybody's.

    Args:
        limit (str | Unset):  Default: '20'.
        cursor (str | Unset):
        mode (ListSessionsMode | Unset):
        state (ListSessionsState | Unset):
        from_ (datetime.datetime | Unset):
        to (datetime.datetime | Unset):
        user_id (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | SessionPage]
    """

    kwargs = _get_kwargs(
        limit=limit,
        cursor=cursor,
        mode=mode,
        state=state,
        from_=from_,
        to=to,
        user_id=user_id,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    limit: str | Unset = "20",
    cursor: str | Unset = UNSET,
    mode: ListSessionsMode | Unset = UNSET,
    state: ListSessionsState | Unset = UNSET,
    from_: datetime.datetime | Unset = UNSET,
    to: datetime.datetime | Unset = UNSET,
    user_id: str | Unset = UNSET,
) -> Problem | SessionPage | None:
    """List past and present sessions

     The caller's own, newest first; administrators see everybody's.

    Args:
        limit (str | Unset):  Default: '20'.
        cursor (str | Unset):
        mode (ListSessionsMode | Unset):
        state (ListSessionsState | Unset):
        from_ (datetime.datetime | Unset):
        to (datetime.datetime | Unset):
        user_id (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | SessionPage
    """

    return sync_detailed(
        client=client,
        limit=limit,
        cursor=cursor,
        mode=mode,
        state=state,
        from_=from_,
        to=to,
        user_id=user_id,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    limit: str | Unset = "20",
    cursor: str | Unset = UNSET,
    mode: ListSessionsMode | Unset = UNSET,
    state: ListSessionsState | Unset = UNSET,
    from_: datetime.datetime | Unset = UNSET,
    to: datetime.datetime | Unset = UNSET,
    user_id: str | Unset = UNSET,
) -> Response[Problem | SessionPage]:
    """List past and present sessions

     The caller's own, newest first; administrators see everybody's.

    Args:
        limit (str | Unset):  Default: '20'.
        cursor (str | Unset):
        mode (ListSessionsMode | Unset):
        state (ListSessionsState | Unset):
        from_ (datetime.datetime | Unset):
        to (datetime.datetime | Unset):
        user_id (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | SessionPage]
    """

    kwargs = _get_kwargs(
        limit=limit,
        cursor=cursor,
        mode=mode,
        state=state,
        from_=from_,
        to=to,
        user_id=user_id,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    limit: str | Unset = "20",
    cursor: str | Unset = UNSET,
    mode: ListSessionsMode | Unset = UNSET,
    state: ListSessionsState | Unset = UNSET,
    from_: datetime.datetime | Unset = UNSET,
    to: datetime.datetime | Unset = UNSET,
    user_id: str | Unset = UNSET,
) -> Problem | SessionPage | None:
    """List past and present sessions

     The caller's own, newest first; administrators see everybody's.

    Args:
        limit (str | Unset):  Default: '20'.
        cursor (str | Unset):
        mode (ListSessionsMode | Unset):
        state (ListSessionsState | Unset):
        from_ (datetime.datetime | Unset):
        to (datetime.datetime | Unset):
        user_id (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | SessionPage
    """

    return (
        await asyncio_detailed(
            client=client,
            limit=limit,
            cursor=cursor,
            mode=mode,
            state=state,
            from_=from_,
            to=to,
            user_id=user_id,
        )
    ).parsed
