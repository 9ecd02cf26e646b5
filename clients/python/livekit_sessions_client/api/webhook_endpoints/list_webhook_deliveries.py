from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.list_webhook_deliveries_state import ListWebhookDeliveriesState
from ...models.problem import Problem
from ...models.webhook_deliveries import WebhookDeliveries
from ...types import UNSET, Response, Unset


def _get_kwargs(
    id: UUID,
    *,
    state: ListWebhookDeliveriesState | Unset = UNSET,
    limit: str | Unset = "20",
    cursor: str | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    json_state: str | Unset = UNSET
    if not isinstance(state, Unset):
        json_state = state.value

    params["state"] = json_state

    params["limit"] = limit

    params["cursor"] = cursor

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/v1/webhook-endpoints/{id}/deliveries".format(
            id=quote(str(id), safe=""),
        ),
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Problem | WebhookDeliveries | None:
    if response.status_code == 200:
        response_200 = WebhookDeliveries.from_dict(response.json())

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
) -> Response[Problem | WebhookDeliveries]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    id: UUID,
    *,
    client: AuthenticatedClient | Client,
    state: ListWebhookDeliveriesState | Unset = UNSET,
    limit: str | Unset = "20",
    cursor: str | Unset = UNSET,
) -> Response[Problem | WebhookDeliveries]:
    """See what became of the messages to an endpoint

     For administrators. Newest first; `state=dead` lists what was given up.

    Args:
        id (UUID):
        state (ListWebhookDeliveriesState | Unset):
        limit (str | Unset):  Default: '20'.
        cursor (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | WebhookDeliveries]
    """

    kwargs = _get_kwargs(
        id=id,
        state=state,
        limit=limit,
        cursor=cursor,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    id: UUID,
    *,
    client: AuthenticatedClient | Client,
    state: ListWebhookDeliveriesState | Unset = UNSET,
    limit: str | Unset = "20",
    cursor: str | Unset = UNSET,
) -> Problem | WebhookDeliveries | None:
    """See what became of the messages to an endpoint

     For administrators. Newest first; `state=dead` lists what was given up.

    Args:
        id (UUID):
        state (ListWebhookDeliveriesState | Unset):
        limit (str | Unset):  Default: '20'.
        cursor (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | WebhookDeliveries
    """

    return sync_detailed(
        id=id,
        client=client,
        state=state,
        limit=limit,
        cursor=cursor,
    ).parsed


async def asyncio_detailed(
    id: UUID,
    *,
    client: AuthenticatedClient | Client,
    state: ListWebhookDeliveriesState | Unset = UNSET,
    limit: str | Unset = "20",
    cursor: str | Unset = UNSET,
) -> Response[Problem | WebhookDeliveries]:
    """See what became of the messages to an endpoint

     For administrators. Newest first; `state=dead` lists what was given up.

    Args:
        id (UUID):
        state (ListWebhookDeliveriesState | Unset):
        limit (str | Unset):  Default: '20'.
        cursor (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | WebhookDeliveries]
    """

    kwargs = _get_kwargs(
        id=id,
        state=state,
        limit=limit,
        cursor=cursor,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    id: UUID,
    *,
    client: AuthenticatedClient | Client,
    state: ListWebhookDeliveriesState | Unset = UNSET,
    limit: str | Unset = "20",
    cursor: str | Unset = UNSET,
) -> Problem | WebhookDeliveries | None:
    """See what became of the messages to an endpoint

     For administrators. Newest first; `state=dead` lists what was given up.

    Args:
        id (UUID):
        state (ListWebhookDeliveriesState | Unset):
        limit (str | Unset):  Default: '20'.
        cursor (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | WebhookDeliveries
    """

    return (
        await asyncio_detailed(
            id=id,
            client=client,
            state=state,
            limit=limit,
            cursor=cursor,
        )
    ).parsed
