"""The CMS Open Payments domain: from the catalogue to a closed year. Which file to open:

============  ==========================================================================================
the source    ``source`` asks it, in the words of ``query``; ``schema`` has its columns
before a run  ``catalogue`` (year to release), ``totals`` (rows per company), ``witness`` (is it all there?),
              ``plan`` (which companies, at what cost)
a slice       ``windows`` (how it is cut), ``slices`` (opened and closed), ``download`` (a window proved),
              ``answers`` (the bytes on their way), ``crew`` (the threads that do all this)
the lake      ``facts`` (what is written there), ``audits`` (proofs and failed attempts), ``runs`` (plans and
              manifests), ``manifest`` (what a run's files say)
a whole run   ``pipeline``; its words for people are ``report``'s
afterwards    ``status``, ``verify``, ``diff``, ``garbage``, ``upload``: each a job's work
doctor        ``assumptions`` (the questions), ``doctor`` and ``lake_doctor`` (who asks), ``findings`` (what
              became of them)
============  ==========================================================================================
"""
