-- Question 14: payments to third parties, to charities and to owners, and those that were delayed or are disputed. One
-- payment may be in several rows or in none.
with marked as (
    select dataset, year, release, amount_usd, 'third party' as marker, is_to_a_third_party as is_marked
    from {{ ref('fct_payments') }}
    union all
    select dataset, year, release, amount_usd, 'charity', is_for_charity from {{ ref('fct_payments') }}
    union all
    select dataset, year, release, amount_usd, 'owner', is_to_an_owner from {{ ref('fct_payments') }}
    union all
    select dataset, year, release, amount_usd, 'delayed', is_delayed from {{ ref('fct_payments') }}
    union all
    select dataset, year, release, amount_usd, 'disputed', is_disputed from {{ ref('fct_payments') }}
    union all
    select dataset, year, release, amount_usd, 'flagged', flags is not null from {{ ref('fct_payments') }}
    union all
    select dataset, year, release, amount_usd, 'date suspect', is_date_suspect from {{ ref('fct_payments') }}
)

select
    dataset, year, release, marker,
    {{ usd('sum(case when is_marked then amount_usd else 0 end)') }} as amount_usd,
    cast(sum(case when is_marked then 1 else 0 end) as bigint) as payments
from marked
group by dataset, year, release, marker
order by dataset, year, marker
