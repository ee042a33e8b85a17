-- Question 6: where recipients are. Cities are compared without case and outer spaces.
with places as (
    select
        dataset, year, release,
        coalesce(country, '(none)') as country,
        coalesce(state, '(none)') as state,
        city,
        sum(amount_usd) as amount_usd, count(*) as payments
    from {{ ref('fct_payments') }}
    group by dataset, year, release, coalesce(country, '(none)'), coalesce(state, '(none)'), city
)

select
    dataset, year, release, country, state,
    coalesce(nullif(upper(trim(city)), ''), '(none)') as city,
    {{ usd('sum(amount_usd)') }} as amount_usd,
    cast(sum(payments) as bigint) as payments
from places
group by dataset, year, release, country, state, coalesce(nullif(upper(trim(city)), ''), '(none)')
order by dataset, year, country, state, city
