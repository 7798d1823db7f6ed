"""The wire over FLARE's cells: job process to job process, by way of the coordinator's server.

Questions are requests of the core cell with bytes as their payload; nothing is deserialised but
FLARE's own small headers. Who asks is known by its certificate: the server lets a message pass only
if its token was signed for the client that connected, and if it comes from that client's own cells;
here, both names in the message have to be the same one.
"""

from __future__ import annotations

from typing import Any

from nvflare.fuel.f3.cellnet.core_cell import CoreCell
from nvflare.fuel.f3.cellnet.defs import Encoding, MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.cellnet.fqcn import FQCN
from nvflare.fuel.f3.message import Message
from nvflare.fuel.sec.authn import CellMessageAuthHeaderKey

from concord.federation.engine.flare.wire import Answer, NoWay, Unreachable

CHANNEL = "concord"
SERVER = "server"
HEADER_BYTES = 1_000
"""What FLARE adds to a question or an answer, about: the token's signature, routes, names."""


class CellWire:
    """Questions and answers within one job.

    Args:
        cell: The core cell of this job's process.
        job: The job; only its own processes are asked and answered.
    """

    overhead_bytes = HEADER_BYTES

    def __init__(self, cell: CoreCell, job: str) -> None:
        self._cell = cell
        self._job = job
        cell.add_incoming_filter(channel=CHANNEL, topic="*", cb=_bytes_only)

    def ask(self, peer: str, topic: str, question: bytes, timeout_s: float) -> memoryview:
        """Ask the job's process at a site; `server` is the coordinator's."""
        try:
            reply: Message = self._cell.send_request(
                channel=CHANNEL,
                topic=topic,
                target=FQCN.join([peer, self._job]),
                request=Message({}, question),
                timeout=timeout_s,
                optional=True,
            )
        except RuntimeError as error:  # the cell was stopped
            raise Unreachable(peer) from error
        code = reply.get_header(MessageHeaderKey.RETURN_CODE, ReturnCode.OK)
        if code in (ReturnCode.TARGET_UNREACHABLE, ReturnCode.COMM_ERROR):
            raise NoWay(peer)
        if code != ReturnCode.OK or not isinstance(reply.payload, bytes | bytearray | memoryview):
            raise Unreachable(peer)
        return memoryview(reply.payload)

    def answer(self, topic: str, answer: Answer) -> None:
        """Answer questions of this job's other processes."""

        def reply(request: Message) -> Message:
            peer = self._peer(request)
            payload = request.payload
            if peer is None or not isinstance(payload, bytes | bytearray | memoryview):
                return Message({MessageHeaderKey.RETURN_CODE: ReturnCode.INVALID_REQUEST})
            return Message({}, answer(peer, memoryview(payload)))

        self._cell.register_request_cb(channel=CHANNEL, topic=topic, cb=reply)

    def _peer(self, request: Message) -> str | None:
        """Who asks; None if it is not a process of this job, or not who it says."""
        path = FQCN.split(request.get_header(MessageHeaderKey.ORIGIN, ""))
        if len(path) != 2 or path[1] != self._job:
            return None
        if path[0] == SERVER:
            return SERVER
        told = request.get_header(CellMessageAuthHeaderKey.CLIENT_NAME)
        return path[0] if told == path[0] else None


def _bytes_only(message: Message) -> Message | None:
    """Drop what would be deserialised: Concord sends bytes alone."""
    encoding: Any = message.get_header(MessageHeaderKey.PAYLOAD_ENCODING)
    if encoding in (Encoding.BYTES, Encoding.NONE, None):
        return None
    return Message({MessageHeaderKey.RETURN_CODE: ReturnCode.INVALID_REQUEST})
