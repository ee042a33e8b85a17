"""Answers of the CDN in front of the source: its firewall's page, and faults that replace the whole answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus

from sandbox.faults import Fault
from sandbox.open_payments.reply import Headers, Reply, body_reply, json_reply

BLOCKED_AGENTS = ("openpayments-pp-cli",)  # words of a User-Agent, in lower case; the only one on record (facts 2.6)
_DENIED = (
    "<HTML><HEAD>\n<TITLE>Access Denied</TITLE>\n</HEAD><BODY>\n<H1>Access Denied</H1>\n \nYou don't have permission "
    'to access "http&#58;&#47;&#47;openpaymentsdata&#46;cms&#46;gov&#47;" on this server.<P>\n'
    "Reference&#32;&#35;18&#46;2f3e1702&#46;1769100000&#46;1a2b3c4d\n</BODY>\n</HTML>\n"
)


def denied(status: int = 403) -> Reply:
    """The firewall's page."""
    return body_reply(_DENIED.encode(), "text/html", status)


def retry_after(seconds: float, form: str) -> Headers:
    """A Retry-After header in one of its two forms (RFC 9110), or none."""
    if form == "none":
        return ()
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    return (("Retry-After", when if form == "date" else f"{seconds:.0f}"),)


def answer_to(fault: Fault) -> Reply:
    """The answer of a fault whose name ends in a status."""
    status = int(fault.name[-3:])
    if fault.name.startswith("waf"):
        return denied(status)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:  # MySQL error 1203, as DKAN 3 answers it (facts 1.6)
        seconds = fault.param("retry_after", 120.0)
        data = {"message": f"Try again later after {seconds:.0f} seconds.", "code": status}
        return json_reply(data, status, headers=retry_after(seconds, fault.param("form", "none")))
    title, headers = HTTPStatus(status).phrase, retry_after(0, "none")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        headers = retry_after(fault.param("retry_after", 1.0), fault.param("form", "seconds"))
    page = f"<html>\n<head><title>{status} {title}</title></head>\n<body>\n<h1>{title}</h1>\n</body>\n</html>\n"
    return body_reply(page.encode(), "text/html", status, headers=headers)
