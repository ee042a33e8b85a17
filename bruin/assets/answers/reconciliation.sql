/* @bruin
name: answers.reconciliation
type: duckdb.sql
description: How many companies and hospitals have other totals in the summaries of CMS
depends: [pipeline.marts]
materialization: { type: table, strategy: create+replace }
columns:
  - name: entities_differing
    type: bigint
    checks:
      - name: non_negative
custom_checks:
  - name: not more than a thousandth of the dollars differ
    value: 0
    blocking: false
    query: >-
      SELECT count(*) FROM answers.reconciliation WHERE differing_share > 0.001
@bruin */

SELECT
    totals.dataset, totals.year, totals.entity_kind, totals.entities, totals.entities_differing,
    totals.amount_differing_usd / nullif(builds.amount_usd, 0) AS differing_share
FROM mart_reconciliation_years AS totals INNER JOIN stg_builds AS builds USING (dataset, year)
