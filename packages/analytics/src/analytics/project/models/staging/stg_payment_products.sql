-- An amount divided among n products to the cent: what does not divide goes, a cent each, to the first of them. So the
-- shares of a payment sum to its amount exactly, which amount * weight does not.
with products as (
    select
        dataset, year, release, record_id, position, kind, category, product, ndc, products, amount_usd,
        cast(cast(amount_usd as decimal(20, 2)) * 100 as bigint) as cents
    from {{ source('lake', 'payment_products') }}
)

select
    dataset, year, release, record_id, position, kind, category, product, ndc, products, amount_usd,
    -- Times 0.01 is exact; a division by 100 would be a floating number, and wrong past some trillions.
    {{ usd('cast(' ~ quotient('cents', 'products') ~ ' + case when position > abs(cents % products) then 0'
           ' when cents < 0 then -1 else 1 end as decimal(18, 0)) * 0.01') }} as prorated_usd
from products
