-- Question 3: payments by nature. Research and ownership have none of their own: '(none)'.
select
    dataset, year, release,
    coalesce(nature, '(none)') as nature,
    {{ usd('sum(amount_usd)') }} as amount_usd,
    cast(count(*) as bigint) as payments,
    {{ share_of_year('sum(amount_usd)') }} as share
from {{ ref('fct_payments') }}
group by dataset, year, release, coalesce(nature, '(none)')
order by dataset, year, nature
