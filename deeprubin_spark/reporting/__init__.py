"""The night's page and terminal summary, and the data dictionary: tables in, text out."""
