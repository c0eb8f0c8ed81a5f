"""Which code made a result."""

from __future__ import annotations

import subprocess
from pathlib import Path

from deeprubin_spark import __version__


def commit() -> str:
    """Hash of the checkout's commit, with '+changes' where files differ from it; outside a checkout the package's version."""
    folder = Path(__file__).parent
    try:
        found = [
            subprocess.run(["git", "-C", str(folder), *command], capture_output=True, text=True, check=True, timeout=20).stdout.strip()
            for command in (("ls-files", "--error-unmatch", Path(__file__).name), ("rev-parse", "HEAD"), ("status", "--porcelain", "-uno"))
        ]
    except (OSError, subprocess.SubprocessError):  # no git, no checkout, or a checkout of something that this package only lies in
        return __version__
    return found[1] + ("+changes" if found[2] else "")
