-- Question 2: what one recipient gets from whom. Where CMS gives no id of a recipient, as for entities that the law
-- does not cover, both ids are empty, and one row per company holds them all. A view: it has nearly as many rows as
-- there are payments, and a question about one recipient or one company reads only theirs.
{{ config(materialized='view') }}
select
    dataset, year, release, id_kind, recipient_id, company_id,
    {{ usd('sum(amount_usd)') }} as amount_usd,
    cast(count(*) as bigint) as payments
from {{ own(ref('fct_payments')) }}
group by dataset, year, release, id_kind, recipient_id, company_id
