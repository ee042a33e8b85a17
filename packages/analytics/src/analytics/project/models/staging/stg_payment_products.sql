-- An amount divided among n products to the cent: what does not divide goes, a cent each, to the first of them. So the
-- shares of a payment sum to its amount exactly, which amount * weight does not.
with products as (
    select
        dataset, year, release, record_id, position, kind, category, product, ndc, products, amount_usd,
        cast(amount_usd * 100 as bigint) as cents
    from {{ source('lake', 'payment_products') }}
)

select
    dataset, year, release, record_id, position, kind, category, product, ndc, products, amount_usd,
    {{ usd('(cents // products + case when position <= abs(cents % products) then sign(cents) else 0 end) / 100.0') }}
        as prorated_usd
from products
