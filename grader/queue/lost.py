"""Which workers' silence means that their jobs are lost.

After a pause of the whole database every worker has been silent for as long, and the first one that comes back must
not take the jobs of all others, who live. So a job counts as lost when its worker is still silent some seconds after
that was seen: whoever lives has been heard of by then.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

CONFIRM_S: Final = 8.0  # longer than the time between two heartbeats, and one that failed


class Suspicion:
    """Remembers jobs of silent workers from one look to the next. confirm_s: how long they must stay silent."""

    def __init__(self, confirm_s: float) -> None:
        self._confirm_s = confirm_s
        self._since: dict[tuple[int, str | None], float] = {}

    def confirmed(self, silent: Mapping[int, str | None]) -> dict[int, str | None]:
        """Of jobs whose workers are silent now (with their leases) those that have been for long enough."""
        now = time.monotonic()
        self._since = {found: self._since.get(found, now) for found in silent.items()}
        return {job: lease for (job, lease), since in self._since.items() if now - since >= self._confirm_s}
