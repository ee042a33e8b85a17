/* @bruin
name: answers.top_companies
type: duckdb.sql
description: The hundred companies that paid most, by dataset and year
depends: [pipeline.marts]
materialization: { type: table, strategy: create+replace }
columns:
  - name: dataset
    type: varchar
    checks:
      - { name: accepted_values, value: [general-payments, research-payments, ownership-payments] }
  - name: company_id
    type: varchar
    checks:
      - name: not_null
      - name: pattern
        value: ^([0-9]+|[(]none[)])$
  - name: rank
    type: bigint
    checks:
      - name: positive
      - { name: max, value: 100 }
  - name: payments
    type: bigint
    checks:
      - { name: min, value: 1 }
custom_checks:
  - name: no company is ranked twice
    value: 0
    query: >-
      SELECT count(*) - count(DISTINCT (dataset, year, company_id)) FROM answers.top_companies
@bruin */

SELECT dataset, year, release, rank, company_id, company_name, amount_usd, payments
FROM mart_top_companies
WHERE rank <= 100
