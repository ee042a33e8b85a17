-- Question 9: what goes to a product. `amount_usd` divides each payment among its products, so the column sums to all
-- payments; `whole_amount_usd` counts the whole payment for each of them, which for all products together is too much
-- (14.5 % in one published analysis). What names no product is the row '(no product)'.
with spellings as (select product, product_id from {{ ref('stg_product_spellings') }}),

-- Most payments have one product: those are summed before their spellings are looked up.
by_spelling as (
    select
        dataset, year, release, coalesce(product, '') as product,
        sum(amount_usd) as amount_usd, sum(prorated_usd) as prorated_usd, count(*) as payments
    from {{ ref('stg_payment_products') }}
    where products = 1
    group by dataset, year, release, coalesce(product, '')
),

-- A payment may name a product twice, under two codes: its whole amount counts once.
by_payment as (
    select
        dataset, year, release, product_id,
        max(amount_usd) as amount_usd, sum(prorated_usd) as prorated_usd, 1 as payments
    from {{ ref('stg_payment_products') }} as products
    inner join spellings on coalesce(products.product, '') = spellings.product
    where products.products > 1
    group by dataset, year, release, product_id, record_id
),

summed as (
    select dataset, year, release, product_id, amount_usd, prorated_usd, payments
    from by_spelling inner join spellings on by_spelling.product = spellings.product
    union all
    select dataset, year, release, product_id, amount_usd, prorated_usd, payments
    from by_payment
),

products as (
    select
        dataset, year, release, product_id,
        sum(prorated_usd) as amount_usd, sum(amount_usd) as whole_amount_usd, sum(payments) as payments
    from summed
    group by dataset, year, release, product_id
),

-- What the payments with products amount to. Each has one product at position 1.
of_products as (
    select dataset, year, sum(prorated_usd) as amount_usd, count(case when position = 1 then 1 end) as payments
    from {{ ref('stg_payment_products') }}
    group by dataset, year
),

without_product as (
    select
        builds.dataset, builds.year, builds.release, '(no product)' as product_id,
        builds.amount_usd - coalesce(of_products.amount_usd, 0) as amount_usd,
        builds.amount_usd - coalesce(of_products.amount_usd, 0) as whole_amount_usd,
        builds.rows - coalesce(of_products.payments, 0) as payments
    from {{ ref('stg_builds') }} as builds
    left join of_products on builds.dataset = of_products.dataset and builds.year = of_products.year
    where builds.rows > coalesce(of_products.payments, 0)
),

everything as (
    select dataset, year, release, product_id, amount_usd, whole_amount_usd, payments from products
    union all
    select dataset, year, release, product_id, amount_usd, whole_amount_usd, payments from without_product
)

select
    dataset, year, release,
    {{ rank_in_year('amount_usd', ['product_id']) }} as rank,
    product_id,
    {{ usd('amount_usd') }} as amount_usd,
    {{ usd('whole_amount_usd') }} as whole_amount_usd,
    cast(payments as bigint) as payments,
    {{ share_of_year('amount_usd') }} as share
from everything
order by dataset, year, rank
