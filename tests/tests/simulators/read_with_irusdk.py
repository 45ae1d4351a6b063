"""Reads a simulated Kandji with irusdk, a client that is not ours, and prints as JSON what it saw.

    read_with_irusdk.py URL TOKEN FILTERS     FILTERS is a JSON list of {name: value}, each a request of its own
"""

import asyncio
import json
import sys

from irusdk import AuthenticationError, IruConfig, NotFoundError
from irusdk._core.spec import PagedSpec, RequestSpec
from irusdk._endpoints import devices as device_endpoints
from irusdk._endpoints import users as user_endpoints
from irusdk._transport.async_transport import AsyncTransport
from irusdk._transport.sync_transport import SyncTransport
from pydantic import ValidationError

URL, TOKEN, FILTERS = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
CONFIG = IruConfig(requests_per_second=1000, max_retries=5)


def bare(spec):
    """The same request, with rows as they came: irusdk's models refuse what Kandji really sends."""
    base = RequestSpec(method=spec.base.method, path=spec.base.path, params=spec.base.params)
    return PagedSpec(base=base, strategy=spec.strategy, page_size=spec.page_size)


def listed(transport, **filters):
    spec = device_endpoints.list_devices()
    spec.base.params.update(filters)
    return [row["device_id"] for row in transport.iterate(bare(spec))]


def refused_members(rows):
    """Which members of rows irusdk's own model cannot read."""
    members = set()
    for row in rows:
        try:
            device_endpoints.list_devices().base.model.model_validate(row)
        except ValidationError as error:
            members.update(".".join(str(part) for part in one["loc"]) for one in error.errors())
    return sorted(members)


def refusal(kind, call):
    try:
        call()
    except kind as error:
        return error.status_code
    return None


async def listed_side_by_side():
    async with AsyncTransport(URL, TOKEN, CONFIG) as transport:
        spec = bare(device_endpoints.list_devices(page_size=100, ordering="device_id"))
        return [row["device_id"] async for row in transport.iterate(spec)]


def main():
    with SyncTransport(URL, TOKEN, CONFIG) as transport, SyncTransport(URL, "wrong", CONFIG) as stranger:
        everything = bare(device_endpoints.list_devices(page_size=100, ordering="device_id"))
        rows = list(transport.iterate(everything))
        first = rows[0]["device_id"]
        slash = transport.send(RequestSpec(method="GET", path="/api/v1/devices/", params={"limit": 3}))
        users = list(transport.iterate(user_endpoints.list_users(page_size=20)))
        headers = transport.send_raw("GET", "/api/v1/devices").headers
        saw = {
            "devices": [row["device_id"] for row in rows],
            "refused_members": refused_members(rows),
            "side_by_side": asyncio.run(listed_side_by_side()),
            "slash": len(slash),
            "filters": [listed(transport, **filters) for filters in FILTERS],
            "users": [user.id for user in users],
            "one_user": transport.send(user_endpoints.get_user(users[0].id)).id,
            "of_email": [u.id for u in transport.iterate(user_endpoints.list_users(email=users[0].email))],
            "archived": len(list(transport.iterate(user_endpoints.list_users(archived=True)))),
            "details": transport.send(device_endpoints.get_device_details(first))["general"]["device_id"],
            "gone": refusal(NotFoundError, lambda: transport.send(device_endpoints.get_device("nobody"))),
            "stranger": refusal(AuthenticationError, lambda: stranger.send(device_endpoints.get_device(first))),
            "headers": sorted(name.lower() for name in headers if "ratelimit" in name.lower()),
        }
        print(json.dumps(saw))


main()
