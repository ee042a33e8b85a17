"""What the fork server imports last: its forks share what it has imported, and nothing of the environment it had."""

import gc
import sys

import kubernetes

# It reads KUBECONFIG when it is imported.
for name in [one for one in sys.modules if one.startswith("kubernetes.config")]:
    del sys.modules[name]
del kubernetes.config
# A fork that looks through these for garbage would copy them.
gc.collect()
gc.freeze()
