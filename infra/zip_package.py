"""The package with its jobs as one zip, for `spark-submit --py-files`.

    python infra/zip_package.py [dist/deeprubin_spark.zip]

Holds the same modules as the wheel, without its metadata. The same tree gives the same bytes.
"""

import sys
import zipfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
FOLDERS = {"deeprubin_spark": CHECKOUT / "deeprubin_spark", "deeprubin_spark/jobs": CHECKOUT / "jobs"}


def members() -> dict[str, Path]:
    """Name in the zip -> file, sorted by name."""
    files = {
        f"{name}/{file.relative_to(folder).as_posix()}": file
        for name, folder in FOLDERS.items()
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    return dict(sorted(files.items()))


def write(target: Path) -> None:
    """Write the zip beside its place, then rename it there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as package:
        for name, file in members().items():
            package.writestr(zipfile.ZipInfo(name), file.read_bytes(), zipfile.ZIP_DEFLATED)
    part.rename(target)


if __name__ == "__main__":
    where = Path(sys.argv[1] if len(sys.argv) > 1 else "dist/deeprubin_spark.zip")
    write(where)
    print(where)
