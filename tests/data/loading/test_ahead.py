"""What is started before it is wanted, and what is not."""

from collections.abc import Callable

import pytest

from alexnet.data.loading.ahead import ahead


@pytest.mark.parametrize("count", [0, 1, 3, 10])
def test_so_many_are_begun_while_the_caller_has_one(count: int) -> None:
    begun: list[int] = []

    def start(item: int) -> Callable[[], int]:
        begun.append(item)
        return lambda: item * item

    seen = []
    for item, result in ahead(start, range(6), count):
        assert begun == list(range(min(item + count + 1, 6)))
        seen.append(result)
    assert seen == [0, 1, 4, 9, 16, 25]


def test_an_error_comes_in_its_place() -> None:
    def start(item: int) -> Callable[[], float]:
        return lambda: 1 / item

    results = ahead(start, [1, 0], 1)
    assert next(results) == (1, 1.0)
    with pytest.raises(ZeroDivisionError):
        next(results)
