"""What the rows share: a folder, a pool of alerts in all the forms a night comes in, and one Spark session; each made when first asked for."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from tests.perf.alert_pool import NIGHT, Pool
from tests.perf.ingest_costs import Session

N_POOL = 1500  # alerts that differ
COPIES = 80  # of the pool, with other ids: enough alerts for what one more costs to be seen beside what a job costs
ARCHIVES = 5  # copies with cutouts


class Workplace:
    """`folder` is emptied by its owner; `data` holds what is not carried, or is None."""

    def __init__(self, folder: Path, data: Path | None) -> None:
        self.folder = folder
        self.data = data

    @cached_property
    def pool(self) -> Pool:
        """Jittered copies of a real packet."""
        return Pool(N_POOL)

    @cached_property
    def archives(self) -> list[Path]:
        """Copies of the pool as the public archive has them: a packet a member, with cutouts, gzipped."""
        return [self.pool.write_tar(self.folder / f"ztf_public_{NIGHT}_{i}.tar.gz", i) for i in range(ARCHIVES)]

    @cached_property
    def containers(self) -> list[Path]:
        """Copies of the pool without cutouts, each with alert ids of its own: an Avro container each."""
        return [self.pool.write_container(self.folder / f"alerts_{i}.avro", self._bodies(i)) for i in range(COPIES)]

    @cached_property
    def payloads(self) -> list[Path]:
        """The same copies as bare bodies in a Parquet file each."""
        return [self.pool.write_payloads(self.folder / f"ztf_payloads_{NIGHT}_{i}.parquet", self._bodies(i)) for i in range(COPIES)]

    def _bodies(self, copy_number: int) -> list[bytes]:
        return self.pool.bodies(self.pool.bare, copy_number)

    @cached_property
    def session(self) -> Session:
        """Spark as the jobs have it, on two cores."""
        return Session()

    def close(self) -> None:
        """Stop Spark if it was started."""
        if "session" in self.__dict__:
            self.session.close()
