"""What the page on monitoring tells people to copy is whole, and speaks of metrics that exist."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from celery_sagemaker.config import Settings
from celery_sagemaker.config.celery import celery_settings

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "howto/monitoring.md").read_text("utf-8")
BLOCKS = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
REFERENCE = (DOCS / "reference/metrics.md").read_text("utf-8")
KINDS = dict(re.findall(r"^\| `(sagemaker_\w+)` \| (\w+) \|", REFERENCE, re.MULTILINE))
LABELS = {
    name: set(re.findall(r"\w+", labels))
    for name, labels in re.findall(
        r"^\| `(sagemaker_\w+)` \| \w+ \| ([\w, ]*) ?\|", REFERENCE, re.MULTILINE
    )
}
RULES: list[dict[str, Any]] = next(block for block in BLOCKS if "groups" in block)["groups"][0][
    "rules"
]
QUERIES = [rule["expr"] for rule in RULES] + re.findall(r"\| `(.*sagemaker_.*)` \|", PAGE)


def test_the_rules_are_rules() -> None:
    """Each has a name of its own, an expression and what to do; nothing that Prometheus refuses."""
    assert len({rule["alert"] for rule in RULES}) == len(RULES) > 5
    for rule in RULES:
        assert set(rule) <= {"alert", "expr", "for", "annotations"}, rule
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
        assert rule["annotations"]["summary"]
        assert rule["expr"].count("(") == rule["expr"].count(")")


def test_events_are_off() -> None:
    """As the page says: a worker tells Flower only when it is started with -E."""
    assert celery_settings(Settings())["worker_send_task_events"] is False


@pytest.mark.parametrize("query", QUERIES)
def test_queries_name_metrics_that_exist(query: str) -> None:
    """With labels that they have; counters only as rates, gauges never."""
    names = re.findall(r"sagemaker_\w+", query)
    assert names
    for name in names:
        metric = name.removesuffix("_bucket")
        assert metric in KINDS, name
        if KINDS[metric] != "gauge":
            assert re.search(rf"(rate|increase)\({name}", query)
        else:
            assert not re.search(rf"(rate|increase)\({name}", query)
        for given in re.findall(name + r"\{(\w+)=", query):
            assert given in LABELS[metric]
