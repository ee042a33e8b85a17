"""Before an S3 server: lets through what a role may do, answers 403 to all else, and notes both."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

import botocore.exceptions

from tests.end_to_end.s3 import Asked, Bucket, Proxy
from tests.infrastructure import sources
from tests.infrastructure.iam import Request, is_allowed

REFUSED = (403, "AccessDenied")
PREFIX = "arn:aws:s3:::"


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
        requests = list(self._requests(asked))
        for request in requests:
            if not self.allows(request):
                self.refused.append(request)
                return REFUSED
        self.asked += requests
        if requests[0].action == "s3:GetObject" and not self._is_there(requests[0].resource):
            # S3 tells that a key is free only to who may list the bucket, and asks that without a prefix.
            may_know = Request("s3:ListBucket", requests[0].resource.partition("/")[0], self._context())
            if not self.allows(may_know):
                self.refused.append(may_know)
                return REFUSED
        return None

    def _context(self, **more: str) -> dict[str, str]:
        return {"aws:SecureTransport": "true", "aws:PrincipalArn": sources.arn_of(self.role), **more}

    def _requests(self, asked: Asked) -> Iterator[Request]:
        """What a request needs to be allowed; a copy reads one object, with its tags, and creates another."""
        if asked.call:
            yield from self._of_glue(asked)
            return
        arn, query = f"arn:aws:s3:::{asked.bucket}", parse_qs(asked.query, keep_blank_values=True)
        if asked.is_listing:
            yield Request("s3:ListBucket", arn, self._context(**{"s3:prefix": query.get("prefix", [""])[0]}))
            return
        source = unquote(asked.headers.get("x-amz-copy-source", "")).lstrip("/")
        if source:
            yield Request("s3:GetObject", f"{PREFIX}{source}", self._context())
            if self._has_tags(source):
                yield Request("s3:GetObjectTagging", f"{PREFIX}{source}", self._context())
                yield Request("s3:PutObjectTagging", f"{arn}/{asked.key}", self._context())
        plain = asked.key and set(query) <= {"x-id"}
        action = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject", "DELETE": "s3:DeleteObject"}
        if not plain or asked.method not in action:
            yield Request(f"s3:{asked.method}?{asked.query}", f"{arn}/{asked.key}", self._context())
            return
        written: dict[str, str] = {}
        if asked.method == "PUT":
            written["s3:ObjectCreationOperation"] = "true"
            if "if-none-match" in asked.headers:
                written["s3:if-none-match"] = asked.headers["if-none-match"]
        yield Request(action[asked.method], f"{arn}/{asked.key}", self._context(**written))

    def _of_glue(self, asked: Asked) -> Iterator[Request]:
        """A call about a table needs the right for the catalogue, for the database and for the table."""
        action, said = asked.headers["x-amz-target"].partition(".")[2], json.loads(asked.call)
        table = said.get("TableName") or said.get("Name") or said["TableInput"]["Name"]
        database = said["DatabaseName"]
        for what in ("catalog", f"database/{database}", f"table/{database}/{table}"):
            yield Request(f"glue:{action}", f"{sources.GLUE}:{what}", self._context())

    def _is_there(self, resource: str) -> bool:
        bucket, _, key = resource.removeprefix(PREFIX).partition("/")
        try:
            self.bucket.client.head_object(Bucket=bucket, Key=key)
        except botocore.exceptions.ClientError:
            return False
        return True

    def _has_tags(self, source: str) -> bool:
        bucket, _, key = source.partition("/")
        try:
            return bool(self.bucket.client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"])
        except botocore.exceptions.ClientError:
            return False
