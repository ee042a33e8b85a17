-- Question 14: payments by size.
select
    dataset, year, release,
    size_band as size_band,
    {{ usd('sum(amount_usd)') }} as amount_usd,
    cast(count(*) as bigint) as payments,
    {{ share_of_year('sum(amount_usd)') }} as share
from {{ ref('fct_payments') }}
group by dataset, year, release, size_band
order by dataset, year, size_band
