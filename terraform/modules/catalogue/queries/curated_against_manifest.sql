-- Rows and dollars that Athena finds in the curated tables, beside what the newest manifest of each build says.
-- Rows here are records: any difference is one.
--   equal           the newest build is published, and all of it is there
--   NOT_PUBLISHED   a newer build is in the lake, or none was published: data-pipeline run publish_catalogue -- --year …
--   DIFFERENT       files are missing or were changed
WITH newest AS (
  SELECT dataset, year, max_by(build, number) AS build, max_by("rows", number) AS proved,
         max_by(CAST(coalesce(amounts['total_amount_of_payment_usdollars'], amounts['value_of_interest']) AS decimal(18, 2)), number) AS usd
  FROM curated_manifests
  WHERE year BETWEEN 2018 AND 2035
  GROUP BY dataset, year
),
shown AS (
  SELECT dataset, year, "$path" AS file, total_amount_of_payment_usdollars AS usd FROM general_payments
  UNION ALL
  SELECT dataset, year, "$path", total_amount_of_payment_usdollars FROM research_payments
  UNION ALL
  SELECT dataset, year, "$path", value_of_interest FROM ownership_payments
),
counted AS (
  SELECT dataset, year, regexp_extract(max(file), '/build=([^/]+)/', 1) AS build, count(*) AS records, sum(usd) AS usd
  FROM shown
  GROUP BY dataset, year
)
SELECT dataset, year, newest.proved, counted.records, newest.usd AS proved_usd, counted.usd,
       CASE
         WHEN counted.build IS NULL OR counted.build <> newest.build THEN 'NOT_PUBLISHED'
         WHEN newest.proved = counted.records AND newest.usd = counted.usd THEN 'equal'
         ELSE 'DIFFERENT'
       END AS verdict
FROM newest LEFT JOIN counted USING (dataset, year)
ORDER BY verdict, dataset, year
