-- The rows that Athena counts in each part of a committed run, beside the records its proof says.
-- Fill in the run (twice) and its release: both stand in the run's manifest.json.
--
-- Athena counts lines, the proof counts records: OpenCSVSerDe ends a row at every line break, also inside quotes.
--   equal               the part has no line break inside a field
--   lines_in_fields     more lines than records: look at those parts with verify, which reads records
--   ROWS_ARE_MISSING    fewer lines than records, or no part: this is a loss; `data-pipeline run verify -- --run-id …`
-- Only parts that the run's file_audits.jsonl names are counted: what a killed run left in raw/ is not.
WITH proved AS (
  SELECT key, company_id, records
  FROM file_audits
  WHERE run_id = 'RUN-ID' AND "$path" LIKE '%/file_audits.jsonl' AND key IS NOT NULL
),
counted AS (
  SELECT substr("$path", length('s3://LAKE-BUCKET/') + 1) AS key, count(*) AS lines
  FROM raw_general_payments_release
  WHERE dataset = 'general-payments' AND year = 2024 AND release = 'RELEASE'
  GROUP BY 1
)
SELECT
  proved.company_id,
  proved.key,
  proved.records,
  coalesce(counted.lines, 0) AS lines,
  CASE
    WHEN coalesce(counted.lines, 0) = proved.records THEN 'equal'
    WHEN coalesce(counted.lines, 0) > proved.records THEN 'lines_in_fields'
    ELSE 'ROWS_ARE_MISSING'
  END AS verdict
FROM proved
LEFT JOIN counted ON counted.key = proved.key
ORDER BY verdict, proved.company_id, proved.key
