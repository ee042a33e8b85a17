-- Companies are who their id says, never their name: one name may be of several, one company may change it. The name is
-- that of the latest year, there of the first dataset by name, and in it of the latest payment.
with named as (
    select
        coalesce(company_id, '(none)') as company_id, company_name, state, country, year, payments, amount_usd,
        row_number() over (partition by company_id order by year desc, dataset) as age
    from {{ source('lake', 'companies') }}
)

select
    company_id,
    max(case when age = 1 then company_name end) as company_name,
    max(case when age = 1 then state end) as state,
    max(case when age = 1 then country end) as country,
    cast(min(year) as integer) as first_year,
    cast(max(year) as integer) as last_year,
    cast(sum(payments) as bigint) as payments,
    {{ usd('sum(amount_usd)') }} as amount_usd
from named
group by company_id
order by company_id
