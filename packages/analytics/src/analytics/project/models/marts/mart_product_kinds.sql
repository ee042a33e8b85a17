-- Question 10: drugs, biologicals, devices and medical supplies, and their therapeutic areas; amounts are divided among
-- the products of a payment.
select
    dataset, year, release,
    coalesce(kind, '(none)') as kind,
    coalesce(category, '(none)') as category,
    {{ usd('sum(prorated_usd)') }} as amount_usd,
    cast(count(*) as bigint) as mentions
from {{ ref('stg_payment_products') }}
group by dataset, year, release, coalesce(kind, '(none)'), coalesce(category, '(none)')
order by dataset, year, kind, category
