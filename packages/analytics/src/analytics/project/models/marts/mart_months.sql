-- Question 7: payments by month. Those without a date, or with one outside of the program year, are in the row without
-- a month.
select
    dataset, year, release,
    payment_month as month,
    {{ usd('sum(amount_usd)') }} as amount_usd,
    cast(count(*) as bigint) as payments
from {{ ref('fct_payments') }}
group by dataset, year, release, payment_month
order by dataset, year, payment_month nulls last
