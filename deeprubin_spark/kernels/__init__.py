"""Arrays in, arrays out: the formulas, each with its shapes, units and source. No Spark, files, clock or globals."""
