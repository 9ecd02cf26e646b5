import datetime
from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.problem import Problem
from ...models.usage_page import UsagePage
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    from_: datetime.date | Unset = UNSET,
    to: datetime.date | Unset = UNSET,
    user_id: str | Unset = UNSET,
    limit: str | Unset = "100",
    cursor: str | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    json_from_: str | Unset = UNSET
    if not isinstance(from_, Unset):
        json_from_ = from_.isoformat()
    params["from"] = json_from_

    json_to: str | Unset = UNSET
    if not isinstance(to, Unset):
        json_to = to.isoformat()
    params["to"] = json_to

    params["user_id"] = user_id

    params["limit"] = limit

    params["cursor"] = cursor

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/v1/usage",
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Problem | UsagePage | None:
    if response.status_code == 200:
        response_200 = UsagePage.from_dict(response.json())

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

    if response.status_code == 406:
        response_406 = Problem.from_dict(response.json())

        return response_406

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
) -> Response[Problem | UsagePage]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    from_: datetime.date | Unset = UNSET,
    to: datetime.date | Unset = UNSET,
    user_id: str | Unset = UNSET,
    limit: str | Unset = "100",
    cursor: str | Unset = UNSET,
) -> Response[Problem | UsagePage]:
    """List what was used, by day and user

     The caller's own, oldest first; administrators see everybody's. A session counts on the day (UTC) on
    which it was started, some seconds after its end. As JSON or as CSV (`Accept: text/csv`).

    Args:
        from_ (datetime.date | Unset):
        to (datetime.date | Unset):
        user_id (str | Unset):
        limit (str | Unset):  Default: '100'.
        cursor (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | UsagePage]
    """

    kwargs = _get_kwargs(
        from_=from_,
        to=to,
        user_id=user_id,
        limit=limit,
        cursor=cursor,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    from_: datetime.date | Unset = UNSET,
    to: datetime.date | Unset = UNSET,
    user_id: str | Unset = UNSET,
    limit: str | Unset = "100",
    cursor: str | Unset = UNSET,
) -> Problem | UsagePage | None:
    """List what was used, by day and user

     The caller's own, oldest first; administrators see everybody's. A session counts on the day (UTC) on
    which it was started, some seconds after its end. As JSON or as CSV (`Accept: text/csv`).

    Args:
        from_ (datetime.date | Unset):
        to (datetime.date | Unset):
        user_id (str | Unset):
        limit (str | Unset):  Default: '100'.
        cursor (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | UsagePage
    """

    return sync_detailed(
        client=client,
        from_=from_,
        to=to,
        user_id=user_id,
        limit=limit,
        cursor=cursor,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    from_: datetime.date | Unset = UNSET,
    to: datetime.date | Unset = UNSET,
    user_id: str | Unset = UNSET,
    limit: str | Unset = "100",
    cursor: str | Unset = UNSET,
) -> Response[Problem | UsagePage]:
    """List what was used, by day and user

     The caller's own, oldest first; administrators see everybody's. A session counts on the day (UTC) on
    which it was started, some seconds after its end. As JSON or as CSV (`Accept: text/csv`).

    Args:
        from_ (datetime.date | Unset):
        to (datetime.date | Unset):
        user_id (str | Unset):
        limit (str | Unset):  Default: '100'.
        cursor (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | UsagePage]
    """

    kwargs = _get_kwargs(
        from_=from_,
        to=to,
        user_id=user_id,
        limit=limit,
        cursor=cursor,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    from_: datetime.date | Unset = UNSET,
    to: datetime.date | Unset = UNSET,
    user_id: str | Unset = UNSET,
    limit: str | Unset = "100",
    cursor: str | Unset = UNSET,
) -> Problem | UsagePage | None:
    """List what was used, by day and user

     The caller's own, oldest first; administrators see everybody's. A session counts on the day (UTC) on
    which it was started, some seconds after its end. As JSON or as CSV (`Accept: text/csv`).

    Args:
        from_ (datetime.date | Unset):
        to (datetime.date | Unset):
        user_id (str | Unset):
        limit (str | Unset):  Default: '100'.
        cursor (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | UsagePage
    """

    return (
        await asyncio_detailed(
            client=client,
            from_=from_,
            to=to,
            user_id=user_id,
            limit=limit,
            cursor=cursor,
        )
    ).parsed
