"""The CMS Open Payments domain: from the catalogue to a closed year. Which folder to open:

===========  ===========================================================================================
``source``   what is asked of CMS: the API, its query language, catalogue, totals, reference count
``fetch``    windows fetched and proved, slices opened and closed, the threads that do it
``ledger``   what the lake records: documents, audits, plans, selections, the commit
``operations``  what is done with runs that exist: status, verify, diff, upload, gc
===========  ===========================================================================================

``run`` is a whole run, ``summary`` its words for people; ``schema``, ``windows`` and ``assumptions`` are pure;
``source_checks`` are the doctor's checks of the source.
"""
