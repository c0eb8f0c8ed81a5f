"""Which folders are the package; everything else is in pyproject.toml.

`jobs/` stands at the top of the repository, where a reader looks for the steps of the night, and is `deeprubin_spark.jobs` once installed.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["deeprubin_spark", "deeprubin_spark.*"]), "deeprubin_spark.jobs"],
    package_dir={"deeprubin_spark": "deeprubin_spark", "deeprubin_spark.jobs": "jobs"},
    package_data={
        "deeprubin_spark": ["published/**/*", "py.typed", "log4j2.properties"],
        "deeprubin_spark.searches": ["data/*"],
        "deeprubin_spark.reporting": ["*.html", "*.css", "**/*.html", "**/*.css"],
    },
    include_package_data=False,
)
