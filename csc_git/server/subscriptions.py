"""Subscriptions: notify clients which resources changed, in both versions of the protocol.

In the protocol version 2026-07-28, a client opens a stream with `subscriptions/listen`. The SDK
sends the events of a bus to this stream. In earlier versions, a client subscribes to each resource
with `resources/subscribe`. The server then sends notifications on the client's connection. Both
kinds of client get the same events: one task, the follower, waits for changes and notifies all
subscribers. The follower starts at the first subscription.
"""

import logging
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import anyio
import anyio.to_thread
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server as Wire
from mcp.server.session import ServerSession
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    ResourcesListChanged,
    ResourceUpdated,
)
from mcp_types import (
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.results.changes import Changed, Changes
from csc_git.errors import CscError, CursorExpired, as_csc_error
from csc_git.server.host import Host
from csc_git.server.resources import CONTEXT, DATA, STATE

_log: Final = logging.getLogger(__name__)
_EVERYTHING: Final = ("*",)
_WAIT: Final = 600.0
_AFTER_FAILURE: Final = 5.0
Request = ServerRequestContext[Any, Any]


class Subscriptions:
    """The subscribers, and the follower that notifies them.

    Args:
        host: Opens the coordinator.
    """

    def __init__(self, host: Host) -> None:
        self.bus = InMemorySubscriptionBus()
        self._host = host
        self._listen = ListenHandler(self.bus)
        self._sessions: dict[str, set[ServerSession]] = {}
        self._cursor: str | None = None
        self._sync_state: str | None = None
        self._wanted = anyio.Event()

    def serve(self, wire: Wire[Any]) -> None:
        """Register handlers for the requests of both versions of the protocol."""
        wire.add_request_handler(
            "subscriptions/listen",
            SubscriptionsListenRequestParams,
            self._on_listen,
        )
        wire.add_request_handler(
            "resources/subscribe", SubscribeRequestParams, self._on_subscribe
        )
        wire.add_request_handler(
            "resources/unsubscribe",
            UnsubscribeRequestParams,
            self._on_unsubscribe,
        )

    async def follow(self) -> None:
        """Wait for the first subscription, then notify subscribers until this task is cancelled."""
        await self._wanted.wait()
        while True:
            try:
                coordinator = await anyio.to_thread.run_sync(self._host.get)
                changes = await anyio.to_thread.run_sync(
                    self._wait, coordinator, abandon_on_cancel=True
                )
                self._cursor = changes.cursor
                self._sync_state = changes.sync_state
                await self._notify_all(changes, coordinator.clone.machine)
            except CursorExpired:
                self._cursor = None
            except (CscError, OSError) as error:
                _log.warning("%s", as_csc_error(error))
                await anyio.sleep(_AFTER_FAILURE)

    def _wait(self, coordinator: Coordinator) -> Changes:
        return coordinator.feed.wait(
            self._cursor,
            _EVERYTHING,
            _WAIT,
            reports_losses=False,
            sync_state=self._sync_state,
        )

    async def _begin(self) -> None:
        """Make the follower report changes, unless the follower already reports changes."""
        if self._wanted.is_set():
            return
        coordinator = await anyio.to_thread.run_sync(self._host.get)
        if (
            not self._wanted.is_set()
        ):  # another subscription may have come first
            self._sync_state = str(coordinator.store.sync_status.state)
            self._cursor = str(coordinator.feed.now())
            self._wanted.set()

    async def _on_listen(
        self,
        context: Request,
        params: SubscriptionsListenRequestParams,
    ) -> SubscriptionsListenResult:
        await self._begin()
        return await self._listen(context, params)

    async def _on_subscribe(
        self,
        context: Request,
        params: SubscribeRequestParams,
    ) -> EmptyResult:
        await self._begin()
        self._sessions.setdefault(str(params.uri), set()).add(context.session)
        return EmptyResult()

    async def _on_unsubscribe(
        self,
        context: Request,
        params: UnsubscribeRequestParams,
    ) -> EmptyResult:
        self._sessions.get(str(params.uri), set()).discard(context.session)
        return EmptyResult()

    async def _notify_all(
        self,
        changes: Changes,
        machine: str,
    ) -> None:
        """Notify subscribers of the resources that changed, and of new and removed sessions.

        Args:
            changes: The changes since the last notification.
            machine: This clone's machine name.
        """
        uris = {CONTEXT}
        has_other_sessions = False
        for change in changes.changes:
            uris.update(_resources(change, machine))
            if change.scope == "sessions" and change.change != "changed":
                has_other_sessions = True
        for uri in sorted(uris):
            updated = ResourceUpdated(uri=uri)
            await self.bus.publish(updated)
            sessions = self._sessions.get(uri, ())
            for session in list(sessions):
                await self._notify(session, uri)
        if has_other_sessions:
            await self.bus.publish(ResourcesListChanged())

    async def _notify(
        self,
        session: ServerSession,
        uri: str,
    ) -> None:
        try:
            await session.send_resource_updated(uri)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            for sessions in self._sessions.values():
                sessions.discard(session)


def _resources(
    change: Changed,
    machine: str,
) -> Iterator[str]:
    """The URIs of the resources that a change affects, in all spellings that clients may use.

    Args:
        change: The change.
        machine: This clone's machine name, which a client may leave out of a session's name.
    """
    plain = (change.scope, change.key)
    encoded = (quote(change.scope), quote(change.key))
    for scope, key in {plain, encoded}:
        uri = DATA.replace("{scope}", scope)
        yield uri.replace("{key}", key)
    place, _, rest = change.scope.partition(":")
    session, _, _ = rest.partition(":")
    if change.scope == "sessions":
        session = change.key
    if session and place in {"session", "sessions"}:
        yield STATE.replace("{id}", session)
        yield STATE.replace("{id}", session.removesuffix(f"@{machine}"))
