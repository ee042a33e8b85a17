"""What the fork server imports last: its forks share what it has imported, and nothing of the environment it had."""

import contextlib
import gc
import sys

import kubernetes
from botocore.exceptions import BotoCoreError

from etl_core.lake import s3

# It reads KUBECONFIG when it is imported.
for name in [one for one in sys.modules if one.startswith("kubernetes.config")]:
    del sys.modules[name]
del kubernetes.config

# It keeps the SDK's description of S3, which takes half of the time that a client does.
with contextlib.suppress(BotoCoreError):  # a person's settings may be incomplete
    session = s3.make_session()
    session.set_credentials("none", "none")  # none are looked for
    session.create_client("s3", region_name="us-east-1").close()

# A fork that looks through these for garbage would copy them.
gc.collect()
gc.freeze()
