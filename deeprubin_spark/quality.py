"""Gates: the conditions under which a night is fit to publish, and the frames' checks that answer them."""

from __future__ import annotations

from deeprubin_spark.errors import DataGateError


def require_balance(where: str, total: int, **parts: int) -> None:
    """DataGateError unless `parts` sum to `total`: every member of a night must be accounted for."""
    if sum(parts.values()) != total:
        listing = " + ".join(f"{count} {name}" for name, count in parts.items())
        raise DataGateError(f"{where}: the ledger does not balance: {total} in, but {listing} = {sum(parts.values())}; please report this")


def require_at_most(where: str, what: str, count: int, total: int, limit: float, setting: str, example: str = "") -> None:
    """DataGateError where `count` of `total` is a larger share than `limit` [1]. `setting` names what to change, `example` the first case."""
    if total and count > limit * total:
        first = f" First: {example}." if example else ""
        raise DataGateError(f"{where}: {count} of {total} {what} (limit {limit:.1%}).{first} Re-run after a fix, or raise {setting}.")
