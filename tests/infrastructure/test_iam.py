"""The evaluator decides as AWS documents it."""

import pytest

from tests.infrastructure.iam import Request, UnknownError, holds, is_allowed, matches


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action="s3:GetObject", resource="arn:aws:s3:::lake/*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action="s3:GetObject", resource="arn:aws:s3:::lake/*", **more):
    return {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": resource, **more}


READ = Request("s3:GetObject", "arn:aws:s3:::lake/raw/a.csv")


def test_what_nothing_allows_is_denied():
    assert not is_allowed(READ, [])
    assert not is_allowed(READ, [document(allow("s3:PutObject"))])
    assert not is_allowed(READ, [document(allow(resource="arn:aws:s3:::other/*"))])


def test_what_a_statement_allows_is_allowed():
    assert is_allowed(READ, [document(allow())])
    assert is_allowed(READ, [document(allow(["s3:PutObject", "S3:getobject"]))]), "actions know no case"
    assert is_allowed(READ, [{"Version": "2012-10-17", "Statement": allow("s3:Get*")}])


def test_a_denial_outweighs_every_permission_wherever_either_stands():
    assert not is_allowed(READ, [document(allow(), deny())])
    assert not is_allowed(READ, [document(allow())], [document(deny("s3:*"))])
    assert is_allowed(READ, [document(allow())], [document(deny("s3:PutObject"))])


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("raw/*", "raw/a/b.csv", True),
        ("raw/*", "raw/", True),
        ("raw/*", "rawer/a", False),
        ("metadata/runs/*/plan.json", "metadata/runs/run_id=1/plan.json", True),
        ("metadata/runs/*/plan.json", "metadata/runs/run_id=1/x/plan.json", True),
        ("metadata/runs/*/plan.json", "metadata/runs/run_id=1/manifest.json", False),
        ("part-?.csv", "part-1.csv", True),
        ("part-?.csv", "part-12.csv", False),
        ("a.b", "axb", False),
        ("[a]*", "[a]b", True),
        ("*", "any\nthing", True),
    ],
)
def test_wildcards(pattern, text, expected):
    assert matches(pattern, text) is expected


@pytest.mark.parametrize(
    ("operator", "values", "said", "expected"),
    [
        ("StringEquals", ["a", "b"], "b", True),
        ("StringEquals", ["a*"], "ab", False),
        ("StringEquals", ["a"], None, False),
        ("StringNotEquals", ["a"], "b", True),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", ["a"], None, True),
        ("StringLike", ["raw/*"], "raw/x", True),
        ("StringLike", ["raw/*"], "meta", False),
        ("StringLike", ["raw/*"], None, False),
        ("StringLikeIfExists", ["raw/*"], None, True),
        ("StringLikeIfExists", ["raw/*"], "meta", False),
        ("StringNotLike", ["raw/*"], "raw/x", False),
        ("ArnNotEquals", ["arn:aws:iam::1:role/a"], "arn:aws:iam::1:role/b", True),
        ("ArnNotEquals", ["arn:aws:iam::1:role/a"], "arn:aws:iam::1:role/a", False),
        ("ArnLike", ["arn:aws:iam::1:role/*"], "arn:aws:iam::1:role/a", True),
        ("Bool", ["true"], "true", True),
        ("Bool", ["true"], "false", False),
        ("Bool", ["false"], None, False),
        ("BoolIfExists", ["true"], None, True),
        ("Null", ["true"], None, True),
        ("Null", ["true"], "*", False),
        ("Null", ["false"], "*", True),
        ("Null", ["false"], None, False),
    ],
)
def test_conditions(operator, values, said, expected):
    assert holds(operator, "aws:Key", values, {} if said is None else {"AWS:key": said}) is expected


def test_all_lines_of_a_condition_must_hold():
    condition = {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}
    bucket = document(deny("s3:PutObject", Condition=condition))
    mine = [document(allow("s3:PutObject"))]

    def put(**context):
        return is_allowed(Request("s3:PutObject", "arn:aws:s3:::lake/a", context), mine, [bucket])

    assert not put(**{"s3:ObjectCreationOperation": "true"})
    assert put(**{"s3:ObjectCreationOperation": "true", "s3:if-none-match": "*"})
    assert put(**{"s3:ObjectCreationOperation": "false"}), "a part of a multipart upload creates nothing yet"


@pytest.mark.parametrize(
    "statement",
    [
        allow(Condition={"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}),
        allow(NotAction="s3:*"),
        {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"},
        allow(Principal={"AWS": "arn:aws:iam::123456789012:root"}),
        allow(resource="arn:aws:s3:::lake/${aws:username}/*"),
        {**allow(), "Effect": "Maybe"},
    ],
    ids=["operator", "element", "missing", "principal", "variable", "effect"],
)
def test_what_it_does_not_know_it_does_not_guess(statement):
    with pytest.raises(UnknownError):
        is_allowed(READ, [document(statement)])
