"""Task messages that no worker should take, made from a seed."""

import base64
import copy
import json
import random
import uuid
from collections.abc import Callable
from typing import Any

from celery_sagemaker.config.queues import TASKS
from celery_sagemaker.runtime import (
    InvokeEndpointAsyncRequest,
    InvokeEndpointRequest,
    InvokeEndpointWithResponseStreamRequest,
)
from celery_sagemaker.tasks.schedules.task import message as schedule_message

#: What each task is called with, if it is called well.
CALLS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "sagemaker.invoke": (
        [],
        {"message": {"version": 1, "request": InvokeEndpointRequest(
            endpoint_name="echo", body=b"{}", content_type="application/json").to_json()}},
    ),
    "sagemaker.invoke_async": (
        [],
        {"message": {"version": 1, "request": InvokeEndpointAsyncRequest(
            endpoint_name="echo", body=b"{}", content_type="application/json").to_json()}},
    ),
    "sagemaker.stream": (
        [],
        {"message": {"version": 1, "options": {"idle_timeout": 5.0},
                     "request": InvokeEndpointWithResponseStreamRequest(
            endpoint_name="echo", body=b"{}", content_type="application/json").to_json()}},
    ),
    "sagemaker.collect": ([], {}),
    "sagemaker.collect_many": ([["none"]], {}),
    "sagemaker.poll": (["s3://nowhere/at-all/"], {}),
    "sagemaker.batch_plan": ([], {"message": {"version": 1, "job": "none"}}),
    "sagemaker.batch_chunk": ([], {"message": {"version": 1, "job": "none", "chunk": 0}}),
    "sagemaker.batch_finalize": ([], {"message": {"version": 1, "job": "none"}}),
    "sagemaker.schedule": ([], schedule_message("none", 0.0, run="run")),
}  # fmt: skip

#: Values of every type, and at every edge; nothing that is a moment or a name by chance.
JUNK: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**31, 2**63, 10**400, 1.5, float("nan"), float("inf"), -1e308,
    "", " ", "\x00", "a\x00b", "{braces}", "{", "ä\u0301", "\ud800", "\u202e", "x" * 300, "../..",
    [], [[]], [None] * 3, ["x"], {}, {"x": {}}, {"": None}, {"task": 5}, [{"task": []}],
    {"__type__": "uuid", "__value__": {"hex": "x"}}, {"__type__": "bytes", "__value__": 1},
    {"__type__": "datetime", "__value__": "never"}, {"__type__": "nothing", "__value__": 1},
)  # fmt: skip

IDS: tuple[Any, ...] = (
    None, "", 5, [], {}, "\x00", "a\x00b", "x" * 256, "x" * 10_000, "\ud800", "line\nfeed", "\x7f",
    "{a}", "{celery-sagemaker}", "a b", "größe", "*", "a:b:c", "..", "\\", "'; --", "%s%n",
)  # fmt: skip

#: Without `shadow`, by which Celery's log would name another task.
HEADERS = (
    "id", "task", "root_id", "parent_id", "group", "group_index", "retries", "timelimit",
    "ignore_result", "replaced_task_nesting", "stamped_headers", "stamps", "argsrepr", "kwargsrepr",
    "lang", "origin", "expires", "eta", "compression",
)  # fmt: skip

CONTENT_TYPES: tuple[Any, ...] = (
    "application/x-python-serialize", "application/x-yaml", "application/x-msgpack", "text/plain",
    "application/text", "application/data", "application/unheard-of", "", None, 5, [], "\x00",
)  # fmt: skip

Envelope = dict[str, Any]
Maker = Callable[[random.Random], bytes]


def envelope(task: str, args: Any, kwargs: Any, **headers: Any) -> Envelope:
    """Return what kombu puts into a list of Redis for a task."""
    id_ = uuid.uuid4().hex
    made = {
        "lang": "py", "task": task, "id": id_, "root_id": id_, "parent_id": None, "group": None,
        "retries": 0, "timelimit": [None, None], "eta": None, "expires": None, "argsrepr": "()",
        "kwargsrepr": "{}", "origin": "test", "ignore_result": False, **headers,
    }  # fmt: skip
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    return {
        "body": encoded(json.dumps([args, kwargs, embed]).encode()),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": made,
        "properties": {
            "correlation_id": id_, "reply_to": uuid.uuid4().hex, "delivery_mode": 2, "priority": 0,
            "delivery_info": {"exchange": "", "routing_key": TASKS.get(task, "sagemaker.invoke")},
            "body_encoding": "base64", "delivery_tag": uuid.uuid4().hex,
        },
    }  # fmt: skip


def encoded(body: bytes) -> str:
    """Return a body as an envelope has it."""
    return base64.b64encode(body).decode()


def some(rng: random.Random) -> tuple[str, list[Any], dict[str, Any]]:
    """A task of ours and a good call of it."""
    task = rng.choice(sorted(CALLS))
    args, kwargs = copy.deepcopy(CALLS[task])
    return task, args, kwargs


def good(rng: random.Random) -> Envelope:
    """A good message, to be spoilt."""
    return envelope(*some(rng))


def no_message(rng: random.Random) -> bytes:
    """An entry of the list that is no envelope."""
    value = rng.choice(JUNK)
    return rng.choice([rng.randbytes(20), b"{", b"", b"[[[[", dumped(value), b"\xff\xfe{}"])


def without_a_part(rng: random.Random) -> bytes:
    """An envelope that lacks something, or has something else in its place."""
    made = good(rng)
    where = rng.choice([made, made["properties"], made["properties"]["delivery_info"]])
    name = rng.choice(sorted(where))
    if rng.random() < 0.5:
        del where[name]
    else:
        where[name] = rng.choice(JUNK)
    return dumped(made)


def other_content(rng: random.Random) -> bytes:
    """Another content type or encoding: pickle, YAML, none."""
    made = good(rng)
    made[rng.choice(["content-type", "content-encoding"])] = rng.choice(CONTENT_TYPES)
    if rng.random() < 0.7:
        made["content-type"] = rng.choice(CONTENT_TYPES)
        made["body"] = encoded(rng.choice([b"abc", b"\x80\x04N.", b"cos\nsystem\n(S'true'\ntR."]))
    return dumped(made)


def other_body(rng: random.Random) -> bytes:
    """A body that is no JSON, or not args, kwargs and the rest."""
    task, args, kwargs = some(rng)
    made, junk = envelope(task, args, kwargs), rng.choice(JUNK)
    depth = rng.choice([101, 900, 1_100, 20_000])
    texts = [
        b"", b"\xff", b"{", b"[[],{},{}", b'"abc"', b"1", b"NaN", b"[" * depth + b"]" * depth,
        b'[[], {"message": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}, {}]",
        dumped(junk), dumped([args, kwargs]), dumped([args, kwargs, {}, {}]),
        dumped([junk, kwargs, {}]), dumped([args, junk, {}]), dumped([args, kwargs, junk]),
        dumped([args, {"message": kwargs, "more": junk}, {}]), b"[[], {}, {}]" + b"9" * 5_000,
        dumped([args, {"k" * 300: junk}, {}]), b'[[], {"message": ' + b"9" * 5_000 + b"}, {}]",
    ]  # fmt: skip
    made["body"] = encoded(rng.choice(texts))
    return dumped(made)


def other_headers(rng: random.Random) -> bytes:
    """A header of another type, or none."""
    made = good(rng)
    for name in rng.sample(HEADERS, rng.randint(1, 3)):
        made["headers"][name] = rng.choice(JUNK)
    if rng.random() < 0.2:
        del made["headers"][rng.choice(["id", "task"])]
    if rng.random() < 0.1:
        made["headers"] = rng.choice(JUNK)
    return dumped(made)


def other_id(rng: random.Random) -> bytes:
    """An id that is none, or strange."""
    task, _, _ = some(rng)
    # With a call that is wrong besides: some of these ids are allowed.
    return dumped(envelope(task, [], {"message": rng.choice(JUNK)}, id=rng.choice(IDS)))


def other_task(rng: random.Random) -> bytes:
    """A task that is not there."""
    names = ("sagemaker.of_tomorrow", "sagemaker.", "sagemaker.\x00", "sagemaker." + "x" * 5_000,
             "sagemaker.invoke ", "sagemaker.INVOKE", "sagemaker.ä", "sagemaker.\ud800",
             "celery.of_tomorrow", "x", "")  # fmt: skip
    return dumped(envelope(rng.choice(names), [], {}))


def other_call(rng: random.Random) -> bytes:
    """Arguments that the task does not have, or of another type."""
    task, args, kwargs = some(rng)
    calls = [
        ([rng.choice(JUNK)], kwargs), (args, {"message": rng.choice(JUNK)}),
        ([kwargs], {}), ([1, 2, 3], {}), ([], {}), (args, {**kwargs, "unknown": rng.choice(JUNK)}),
        (["echo", rng.choice(JUNK), rng.choice(JUNK)], {}),
        ([], {"endpoint": rng.choice(JUNK), "payload": rng.choice(JUNK)}),
    ]  # fmt: skip
    return dumped(envelope(task, *rng.choice(calls)))


def other_version(rng: random.Random) -> bytes:
    """A message of another version, or of none."""
    task, args, kwargs = some(rng)
    message = kwargs.setdefault("message", {})
    message["version"] = rng.choice([2, 99, 10**30, None, "1", 1.0, True, [], {}])
    return dumped(envelope(task, args, kwargs))


def other_member(rng: random.Random) -> bytes:
    """Junk at some place within the message."""
    task, args, kwargs = some(rng)
    where: Any = kwargs.setdefault("message", {"version": 1})
    while isinstance(where, dict):
        name = rng.choice([*where, "unknown", "staged", "options", "x" * 2_000])
        if not isinstance(where.get(name), dict) or rng.random() < 0.4:
            where[name] = rng.choice(JUNK)
            break
        where = where[name]
    return dumped(envelope(task, args, kwargs))


def other_canvas(rng: random.Random) -> bytes:
    """Something else where callbacks, chains and chords belong."""
    task, args, kwargs = some(rng)
    made = envelope(task, args, kwargs)
    embed = {rng.choice(["callbacks", "errbacks", "chain", "chord"]): rng.choice(JUNK)}
    made["body"] = encoded(dumped([args, kwargs, embed]))
    return dumped(made)


MAKERS: tuple[Maker, ...] = (
    no_message, without_a_part, other_content, other_body, other_headers, other_id, other_task,
    other_call, other_version, other_member, other_canvas,
)  # fmt: skip


def dumped(value: Any) -> bytes:
    """Return JSON as Python writes it: with NaN, and with lone surrogates escaped."""
    return json.dumps(value).encode()


def queue_of(message: bytes) -> str:
    """Return a queue that a message may wait in."""
    return next(
        (queue for task, queue in TASKS.items() if f'"{task}"'.encode() in message),
        "sagemaker.invoke",
    )
