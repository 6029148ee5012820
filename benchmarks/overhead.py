"""What `invoke` costs over an empty task and a bare boto3 call, and publishing in bulk."""

from frame import Result, Spread, Table, Target, Variant, alternate
from frame import per_record as figures
from loopback import Bench, bench

EMPTY, BARE, BOTH = "empty Celery task", "bare boto3 call", "Celery task that calls boto3"
INVOKE = "invoke"

#: How each is done one after the other: script, arguments, and options of a turn.
SINGLY: dict[str, tuple[str, dict[str, str]]] = {
    EMPTY: ("singly.py", {"what": "empty"}),
    BARE: ("singly.py", {"what": "bare"}),
    BOTH: ("singly.py", {"what": "both"}),
    INVOKE: ("ours.py", {"how": "singly"}),
}

#: Messages that a bulk has, as a group of 1,000 does.
BULK = 1_000

SINGLE, GROUP = "invoke.delay, one by one", "a group's apply_async"
MANY, PLAIN = "tasks.apply_many", "plain tasks, one by one"

#: What was asked for.
OVERHEAD, FASTER = 1.2, 2.0
WHY_OVERHEAD = (
    "a row in the ledger before the message, and its states until the final one, are what makes"
    " sure that no accepted request is lost: four scripts that Redis runs, one after the other. A"
    " Celery task that calls boto3 and keeps no books is over the target, or close to it, too"
)
WHY_FASTER = "each request keeps its own row and message; only the round trips are shared"


def run(rounds: int, seconds: float, *, long: bool) -> Result:  # noqa: ARG001 - as all groups
    """Measure."""
    result = Result("One invoke, and many published at once")
    with bench() as on:
        of = {script: on.peer(script, script) for script in ("singly.py", "ours.py")}
        for peer in of.values():
            peer.started()
        made = {
            name: Variant(of[script], {"endpoint": "single-0", **options}, least=10)
            for name, (script, options) in SINGLY.items()
        }
        _singly(result, made, rounds, seconds)
    with bench() as on:
        _bulk(result, on, rounds, seconds)
    return result


def _singly(result: Result, made: dict[str, Variant], rounds: int, seconds: float) -> None:
    samples = alternate(made, rounds, seconds, result.notes)
    rows = {}
    for name, found in samples.items():
        wall = Spread.of([s.wall / s.count * 1e3 for s in found])
        rows[name] = {"ms until the result": wall, "CPU µs": figures(found)["CPU µs"]}
    if len(rows) < len(SINGLY):
        return
    columns = tuple(rows[EMPTY])
    for column in columns:
        pairs = zip(rows[EMPTY][column].rounds, rows[BARE][column].rounds, strict=True)
        together = Spread.of([a + b for a, b in pairs])
        got = Spread.ratio(rows[INVOKE][column], together)
        what = f"{column}: invoke / (empty task + bare call)"
        result.targets.append(Target(what, OVERHEAD, got, WHY_OVERHEAD, most=True))
    result.tables.append(Table("One after the other, each awaited", columns, rows))


def _bulk(result: Result, on: Bench, rounds: int, seconds: float) -> None:
    """Publish where no worker is; messages pile up."""
    plain, ours = on.peer("plain", "singly.py", "0"), on.peer("ours", "ours.py", "0")
    for peer in (plain, ours):
        peer.started()
    made = {
        PLAIN: Variant(plain, {"what": "publish", "endpoint": "single-0"}, BULK),
        SINGLE: Variant(ours, {"how": "publish", "endpoint": "single-0"}, BULK),
        GROUP: Variant(ours, {"how": "group", "endpoint": "single-0"}, BULK),
        MANY: Variant(ours, {"how": "many", "endpoint": "single-0"}, BULK),
    }
    samples = alternate(made, rounds, seconds, result.notes)
    rows = {
        name: {"published per second": figures(found)["per second"]}
        for name, found in samples.items()
    }
    result.tables.append(Table(f"Publishing {BULK:,}", ("published per second",), rows))
    if MANY in rows and SINGLE in rows:
        column = "published per second"
        got = Spread.ratio(rows[MANY][column], rows[SINGLE][column])
        result.targets.append(Target("rate of apply_many / one by one", FASTER, got, WHY_FASTER))
