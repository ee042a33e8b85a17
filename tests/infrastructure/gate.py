"""Before an S3 server: lets through what a role may do, answers 403 to all else, and notes both."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import botocore.exceptions

from tests.end_to_end.s3 import Asked, Bucket, Proxy
from tests.infrastructure import sources
from tests.infrastructure.iam import Request, is_allowed

REFUSED = (403, "AccessDenied")


class Gate(Proxy):
    """The lake as one role meets it: its own policies and the bucket's, for every request."""

    def __init__(self, server: str, bucket: Bucket, role: str, identity: Mapping[str, Any] | None = None) -> None:
        super().__init__(server)
        self.bucket = bucket
        self.role = role
        self.identity = sources.policies_of(role, bucket.name) if identity is None else identity
        self.of_the_bucket = sources.bucket_policy(bucket.name)
        self.asked: list[Request] = []
        self.refused: list[Request] = []
        self.answers = self._answer

    def allows(self, request: Request) -> bool:
        return is_allowed(request, self.identity.values(), [self.of_the_bucket])

    def _answer(self, asked: Asked) -> tuple[int, str] | None:
        request = self._request(asked)
        if not self.allows(request):
            self.refused.append(request)
            return REFUSED
        self.asked.append(request)
        if request.action == "s3:GetObject" and not self._is_there(asked.key):
            # S3 tells that a key is free only to who may list the bucket, and asks that without a prefix.
            may_know = Request("s3:ListBucket", f"arn:aws:s3:::{self.bucket.name}", self._context())
            if not self.allows(may_know):
                self.refused.append(may_know)
                return REFUSED
        return None

    def _context(self, **more: str) -> dict[str, str]:
        return {"aws:SecureTransport": "true", "aws:PrincipalArn": sources.arn_of(self.role), **more}

    def _request(self, asked: Asked) -> Request:
        arn, query = f"arn:aws:s3:::{self.bucket.name}", parse_qs(asked.query, keep_blank_values=True)
        if asked.is_listing:
            return Request("s3:ListBucket", arn, self._context(**{"s3:prefix": query.get("prefix", [""])[0]}))
        plain = asked.key and set(query) <= {"x-id"}
        action = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject", "DELETE": "s3:DeleteObject"}
        if not plain or asked.method not in action or "x-amz-copy-source" in asked.headers:
            return Request(f"s3:{asked.method}?{asked.query}", f"{arn}/{asked.key}", self._context())
        written: dict[str, str] = {}
        if asked.method == "PUT":
            written["s3:ObjectCreationOperation"] = "true"
            if "if-none-match" in asked.headers:
                written["s3:if-none-match"] = asked.headers["if-none-match"]
        return Request(action[asked.method], f"{arn}/{asked.key}", self._context(**written))

    def _is_there(self, key: str) -> bool:
        try:
            self.bucket.client.head_object(Bucket=self.bucket.name, Key=key)
        except botocore.exceptions.ClientError:
            return False
        return True
