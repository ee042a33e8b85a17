-- What a product is, is what most of its money says; ties go to the first by text.
with described as (
    select
        spellings.product_id, products.product, products.kind, products.category,
        min(products.ndc) as ndc,
        min(products.year) as first_year,
        max(products.year) as last_year,
        sum(products.prorated_usd) as amount_usd
    from {{ ref('stg_payment_products') }} as products
    inner join {{ ref('stg_product_spellings') }} as spellings
        on coalesce(products.product, '') = spellings.product
    group by spellings.product_id, products.product, products.kind, products.category
),

ranked as (
    select
        *,
        row_number() over (
            partition by product_id order by amount_usd desc, product, kind nulls last, category nulls last
        ) as place
    from described
)

select
    product_id,
    max(case when place = 1 then coalesce(trim(product), product_id) end) as product_name,
    max(case when place = 1 then kind end) as kind,
    max(case when place = 1 then category end) as category,
    max(case when place = 1 then ndc end) as ndc,
    cast(min(first_year) as integer) as first_year,
    cast(max(last_year) as integer) as last_year,
    {{ usd('sum(amount_usd)') }} as amount_usd
from ranked
group by product_id
order by product_id
