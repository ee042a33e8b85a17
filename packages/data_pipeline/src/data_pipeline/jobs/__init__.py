"""Jobs. A module here with ``JOB = (entrypoint, description)`` is one; see ``registry``."""
