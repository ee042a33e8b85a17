"""One page per dataset's year, from the marts and the run behind them."""
