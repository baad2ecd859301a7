"""Records to DataFrames with declared columns, the same dtypes whether there are rows or not."""
