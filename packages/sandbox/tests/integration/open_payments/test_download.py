"""`/download`: headers, the two CSV dialects, completeness (facts 1.4, 1.7)."""

from __future__ import annotations

import csv
import hashlib
import io
import socket
from urllib.parse import urlsplit

import pytest

PAYER = "applicable_manufacturer_or_applicable_gpo_making_payment_id"
LARGE, SMALL, TINY = "100000000053", "100000000066", "100000000144"
QUERY = "/api/1/datastore/query"
CONTEXT = "contextual_information"


def test_the_headers_are_those_of_a_stream(site):
    """Facts 1.7: nothing tells the length."""
    headers = site.download(TINY).headers
    assert headers["Content-Type"] == "text/csv; charset=UTF-8"
    assert headers["Content-Disposition"] == "attachment; filename=data.csv"
    assert headers["X-Accel-Buffering"] == "no"
    assert headers["Cache-Control"] == "max-age=3600, public"
    assert headers["Last-Modified"].endswith("GMT")
    assert headers["Transfer-Encoding"] == "chunked"
    assert headers["Content-Length"] is None


@pytest.mark.parametrize("query", [{}, {"offset": 5}, {"offset": 10**6}, {"limit": 1}])
def test_the_header_row_is_sent_on_every_request(site, query):
    """Facts 1.7: also at an offset, and before no rows at all."""
    table = site.download(SMALL, **query).table
    assert table[0] == site.download(LARGE).table[0]
    assert len(table[0]) == 91
    assert table[0][51] == "Name_of_Third_Party_Entity_Receiving_Payment_or_Transfer_of_Value"
    assert len(table) - 1 == min(max(300 - query.get("offset", 0), 0), query.get("limit", 300))


def test_a_payer_without_rows_gets_the_header_alone(site):
    """Facts 1.7."""
    assert site.download("100000009000").rows == []
    assert site.download("100000009000").body.count(b"\n") == 1


def test_machine_names_are_a_setting(start):
    """Facts 1.7, 1.10: csv_headers_mode."""
    header = start(machine_names=True).download(TINY).table[0]
    assert header[0] == "change_type"
    assert header[51] == "name_of_third_party_entity_receiving_payment_or_transfer_of_ccfc"


def test_chosen_properties_come_in_their_order_under_their_titles(site):
    """Facts 1.7."""
    table = site.download(TINY, properties=["record_id", "change_type"]).table
    assert table[0] == ["Record_ID", "Change_Type"]
    assert [len(row) for row in table] == [2, 2]


def test_every_unsorted_statement_is_complete_and_starts_elsewhere(site):
    """Facts 1.3: one statement is one cursor; its order is the database's own."""
    answers = [site.download(LARGE).column("Record_ID") for _ in range(4)]
    assert len({numbers[0] for numbers in answers}) == 4
    assert {tuple(sorted(numbers)) for numbers in answers} == {
        tuple(site.sandbox.truth(2024, LARGE, ids=True)["companies"][LARGE]["ids"])
    }


def test_a_download_of_everything_has_everything(site):
    """Facts 1.4: limit absent, every matching row."""
    answer = site.download()
    assert len(answer.rows) == len(set(answer.column("Record_ID"))) == 2_801
    assert site.get(f"{QUERY}/e6b17c6a-2534-4207-a4a1-6746a14911ff/0/download?format=csv").status == 200


def test_the_truth_is_what_a_reader_can_compute_from_the_file(site):
    """The content hash, written anew from fields that Python's csv module read."""
    table = site.download(LARGE).rows
    total = 0
    for row in table:
        buffer = io.StringIO()
        quoted = ['"' + text.replace('"', '""') + '"' if set(text) & set(',"\n\r\t ') else text for text in row[1:-1]]
        buffer.write(",".join(quoted))
        total += int.from_bytes(hashlib.sha256(buffer.getvalue().encode()).digest(), "big")
    truth = site.sandbox.truth(2024, LARGE, ids=True)["companies"][LARGE]
    ids = sorted(row[56] for row in table)
    assert truth["rows"] == len(table)
    assert truth["content_hash"] == f"{total % 2**256:064x}"
    assert truth["ids"] == ids
    assert truth["ids_sha256"] == hashlib.sha256("\n".join(ids).encode()).hexdigest()


def test_what_is_hard_to_read_is_in_any_payer_of_two_thousand_rows(site):
    """Facts 1.7, 3.1: line ends, quotes, letters of the world, separators, backslashes, odd dates, zeros, blanks."""
    answer = site.download(LARGE)
    contexts = set(answer.column("Contextual_Information"))
    for sign in ("\n", "\r\n", '"', "é", "ñ", "™", "東", "\u2028", "\\", '\\"', "\t", ","):
        assert any(sign in text for text in contexts), sign
    assert any(text.endswith("\\") for text in contexts)
    assert "11/30/0002" in answer.column("Date_of_Payment")
    assert any(code.startswith("0") for code in answer.column("Recipient_Zip_Code"))
    assert any(code.startswith("0") for code in answer.column("Teaching_Hospital_CCN"))
    types = answer.column("Covered_Recipient_Type")
    assert "Covered Recipient Teaching Hospital" in types
    people = zip(types, answer.column("Covered_Recipient_NPI"), strict=True)
    assert any(npi == "" for kind, npi in people if kind != "Covered Recipient Teaching Hospital")
    assert "" in answer.column("Recipient_State")
    assert len(answer.body.splitlines()) > len(answer.table)
    assert len(answer.body.decode().splitlines()) > len(answer.body.splitlines())


HARD_FIELDS = [
    # Text, dialect A, dialect B: a quote after a backslash is not doubled in A, and a backslash forces quotes there.
    ('Presented "Advances in Care", second part',) + ('"Presented ""Advances in Care"", second part"',) * 2,
    ("Speaker program, two evenings:\nfirst evening travel\nsecond evening lodging",)
    + ('"Speaker program, two evenings:\nfirst evening travel\nsecond evening lodging"',) * 2,
    ("Folder C:\\Speakers\\2024", '"Folder C:\\Speakers\\2024"', '"Folder C:\\Speakers\\2024"'),
    (
        'Poster titled \\"Outcomes\\" by the author',
        '"Poster titled \\"Outcomes\\" by the author"',
        '"Poster titled \\""Outcomes\\"" by the author"',
    ),
    ("Shared drive path \\\\server\\reports\\",) + ('"Shared drive path \\\\server\\reports\\"',) * 2,
    (" Meal with staff ",) + ('" Meal with staff "',) * 2,
    ("Lodging\tand meals",) + ('"Lodging\tand meals"',) * 2,
]


@pytest.mark.parametrize("dialect", ["A", "B"])
def test_hard_fields_are_written_as_php_writes_them(start, dialect):
    """Facts 1.7: fputcsv with the escape character (A) and without (B)."""
    site = start(dialect=dialect, company_rows={LARGE: 2_500})
    for text, *written in HARD_FIELDS:
        condition = {"property": CONTEXT, "operator": "=", "value": text}
        body = site.download(LARGE, conditions=[condition]).body.decode()
        expected = written["AB".index(dialect)]
        assert body.count(f",{expected},No,") == site.count(conditions=[condition]) >= 1, text


def test_python_reads_dialect_b_and_goes_wrong_on_dialect_a(start):
    """Facts 1.7: B is RFC 4180; A is not where a backslash meets a quote."""
    site = start(dialect="B", company_rows={LARGE: 2_500})
    right = site.download(LARGE)
    assert {len(row) for row in right.table} == {91}
    site.sandbox.switch(dialect="A")
    wrong = site.download(LARGE)
    assert wrong.body != right.body
    assert 'Poster titled \\"Outcomes\\" by the author' in right.column("Contextual_Information")
    assert 'Poster titled \\"Outcomes\\" by the author' not in {text for row in wrong.rows for text in row}
    assert wrong.headers["Content-Disposition"] == 'attachment; filename="data.csv"'


def test_most_fields_need_no_quotes_and_a_space_does(site):
    """Facts 1.7: UNCHANGED is not quoted, Covered Recipient Physician is; lines end in a bare line feed."""
    line = site.download(TINY).body.split(b"\n")[1]
    assert line.startswith(b'NEW,"Covered Recipient ')
    assert site.download(SMALL, properties=["record_id"]).body.count(b"\r") == 0


def test_the_older_line_streams_csv_only(start):
    """Facts 1.7."""
    site = start(dialect="A")
    for query in ({"format": "json"}, {}):
        answer = site.get(f"{QUERY}/{site.distribution}/download", **query)
        assert answer.status == 400
        assert answer.json["message"] == "Streaming not currently available for JSON responses"


def test_without_a_schema_there_is_no_header_to_generate(site):
    """Facts 1.7: 200 all the same."""
    answer = site.download(TINY, schema=False)
    assert answer.status == 200
    assert answer.table == [["Could not generate header for CSV."]]


def test_what_the_count_finds_is_a_400_and_what_it_misses_a_row_of_the_body(site):
    """Facts 1.6, 1.7: a COUNT runs before the first byte; an exception after it is a one-field row with 200."""
    unknown = [{"property": "nothing", "value": "1"}]
    assert site.download(conditions=unknown).status == 400
    uncounted = site.download(conditions=unknown, count=False)
    assert uncounted.status == 200
    assert uncounted.rows == [["Column not found."]]
    assert len(uncounted.table[0]) == 91
    unsorted = site.download(sorts=[{"property": "nothing", "order": "asc"}])
    assert (unsorted.status, unsorted.rows) == (200, [["Column not found."]])


def test_a_source_without_long_answers_breaks_them_off_with_an_exception(start):
    """Facts 1.7: only a count can show it."""
    site = start(long_answers=False, company_rows={LARGE: 5_001, SMALL: 5_000})
    for query in ({}, {"limit": 6_000}):
        rows = site.download(LARGE, **query).rows
        assert len(rows) == 5_001
        assert rows[-1][0].startswith("SQLSTATE")
        assert len(rows[-1]) == 1
    assert len(site.download(LARGE, limit=5_000).rows) == 5_000
    assert {len(row) for row in site.download(SMALL).rows} == {91}


def test_many_requests_share_a_connection(site):
    """HTTP/1.1 keep-alive, as a pooled client uses it."""
    address = urlsplit(site.sandbox.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        path = f"{QUERY}/{site.distribution}/download?format=csv&limit=1"
        for _ in range(3):
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: tests\r\n\r\n".encode())
            received = b""
            while not received.endswith(b"0\r\n\r\n"):
                received += connection.recv(65_536)
            assert received.startswith(b"HTTP/1.1 200 OK")


def test_two_sandboxes_with_one_seed_are_equal_and_with_another_differ(start):
    """The same seed makes the same bytes, in another process or year."""
    first, second, other = (start(seed=seed, company_rows={LARGE: 60}) for seed in (1, 1, 2))
    hashes = [site.sandbox.truth(2024)["companies"][LARGE]["content_hash"] for site in (first, second, other)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_csv_reader_that_counts_lines_counts_wrong(site):
    """Facts 3.1: embedded line ends; only a CSV reader finds the records."""
    body = site.download(LARGE).body.decode()
    records = sum(1 for _ in csv.reader(io.StringIO(body, newline="")))
    assert body.count("\n") > records == 2_501
