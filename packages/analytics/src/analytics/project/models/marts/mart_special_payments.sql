-- Question 13: royalties, acquisitions and ownership apart from all else, for a few of them outweigh all meals.
select
    dataset, year, release,
    special_kind as special_kind,
    {{ usd('sum(amount_usd)') }} as amount_usd,
    cast(count(*) as bigint) as payments,
    {{ share_of_year('sum(amount_usd)') }} as share
from {{ ref('fct_payments') }}
group by dataset, year, release, special_kind
order by dataset, year, special_kind
