"""How checks of outside systems and of the lake are defined and run. Domains own their checks."""
