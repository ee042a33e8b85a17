/* @bruin
name: answers.months
type: duckdb.sql
description: Payments by month; those without a month are in the row of none
depends: [pipeline.marts]
materialization: { type: view }
custom_checks:
  - name: the months of each year are all of its payments
    value: 0
    query: >-
      SELECT count(*) FROM stg_builds AS built WHERE built.rows IS DISTINCT FROM
      (SELECT sum(payments) FROM answers.months AS own WHERE own.dataset = built.dataset AND own.year = built.year)
@bruin */

SELECT dataset, year, month, amount_usd, payments
FROM mart_months
