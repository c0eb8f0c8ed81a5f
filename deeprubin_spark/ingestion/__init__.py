"""Surveys, brokers and published data sets become rows of the contract's tables."""
