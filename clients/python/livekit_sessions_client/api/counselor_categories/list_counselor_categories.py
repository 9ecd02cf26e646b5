from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.counselor_categories import CounselorCategories
from ...models.list_counselor_categories_all import ListCounselorCategoriesAll
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    all_: ListCounselorCategoriesAll | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    json_all_: str | Unset = UNSET
    if not isinstance(all_, Unset):
        json_all_ = all_.value

    params["all"] = json_all_

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/v1/counselor-categories",
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> CounselorCategories | Problem | None:
    if response.status_code == 200:
        response_200 = CounselorCategories.from_dict(response.json())

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
) -> Response[CounselorCategories | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    all_: ListCounselorCategoriesAll | Unset = UNSET,
) -> Response[CounselorCategories | Problem]:
    """List counsellor categories

     The enabled ones. Administrators may ask for all, with prompts.

    Args:
        all_ (ListCounselorCategoriesAll | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[CounselorCategories | Problem]
    """

    kwargs = _get_kwargs(
        all_=all_,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    all_: ListCounselorCategoriesAll | Unset = UNSET,
) -> CounselorCategories | Problem | None:
    """List counsellor categories

     The enabled ones. Administrators may ask for all, with prompts.

    Args:
        all_ (ListCounselorCategoriesAll | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        CounselorCategories | Problem
    """

    return sync_detailed(
        client=client,
        all_=all_,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    all_: ListCounselorCategoriesAll | Unset = UNSET,
) -> Response[CounselorCategories | Problem]:
    """List counsellor categories

     The enabled ones. Administrators may ask for all, with prompts.

    Args:
        all_ (ListCounselorCategoriesAll | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[CounselorCategories | Problem]
    """

    kwargs = _get_kwargs(
        all_=all_,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    all_: ListCounselorCategoriesAll | Unset = UNSET,
) -> CounselorCategories | Problem | None:
    """List counsellor categories

     The enabled ones. Administrators may ask for all, with prompts.

    Args:
        all_ (ListCounselorCategoriesAll | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        CounselorCategories | Problem
    """

    return (
        await asyncio_detailed(
            client=client,
            all_=all_,
        )
    ).parsed
