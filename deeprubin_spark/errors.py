"""The one tree of errors, each with the exit code that tells a scheduler what to do about it (sysexits.h)."""

from __future__ import annotations


class DeepRubinError(Exception):
    """Anything this project refuses to go on with; `exit_code` is what the job returns."""

    exit_code = 1


class UsageError(DeepRubinError):
    """A command line that does not parse."""

    exit_code = 2


class DataGateError(DeepRubinError):
    """The night's data are not good enough to publish; what was readable stays in the tables."""

    exit_code = 65


class NoInputError(DeepRubinError):
    """There is nothing to read for the nights asked for."""

    exit_code = 66


class ModelError(DeepRubinError):
    """A published model is missing, damaged, or made for another contract."""

    exit_code = 69


class RetryableError(DeepRubinError):
    """Somebody else is in the way (commit conflict, broker away): the same command may succeed later."""

    exit_code = 75


class RanksMissingError(RetryableError):
    """Not all processes that were to train together started in time."""


class ConfigError(DeepRubinError):
    """A setting, path or installed version that cannot work."""

    exit_code = 78


class ContractError(DeepRubinError):
    """A frame or table does not have the columns its contract promises: a bug, or a table of another version."""
