"""What was asked a moment ago is not asked again."""

from celery_sagemaker.tasks import lately


def test_an_answer_is_good_for_a_while() -> None:
    """It is asked for again when it is old, and each key by itself."""
    now, asked = [10.0], list[str]()
    known = lately.Lately(1.0, lambda: now[0])

    def ask(key: str) -> int:
        def answer() -> int:
            asked.append(key)
            return len(asked)

        return known.get(key, answer)

    assert [ask("a"), ask("a"), ask("b")] == [1, 1, 2]
    now[0] = 10.9
    assert ask("a") == 1
    now[0] = 11.0
    assert [ask("a"), ask("b"), ask("b")] == [3, 4, 4]
    assert asked == ["a", "b", "a", "b"]


def test_only_so_many_are_kept() -> None:
    """Keys that never come again take no memory for ever."""
    known = lately.Lately(1.0, lambda: 0.0)
    for key in range(3 * lately.MOST):
        known.get(key, lambda: None)
    assert len(known._known) <= lately.MOST
