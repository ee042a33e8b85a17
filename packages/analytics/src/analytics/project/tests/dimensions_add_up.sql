-- Dimensions cover all datasets and years: what they sum to is what the payments sum to, of which some have no recipient.
with sums as (
    select
        'dim_company' as model,
        (select sum(amount_usd) from {{ ref('dim_company') }}) as found,
        (select sum(amount_usd) from {{ ref('fct_payments') }}) as expected
    union all
    select
        'dim_recipient' as model,
        (select sum(amount_usd) from {{ ref('dim_recipient') }}) as found,
        (select sum(amount_usd) from {{ ref('fct_payments') }} where recipient_id is not null) as expected
    union all
    select
        'dim_product' as model,
        (select sum(amount_usd) from {{ ref('dim_product') }}) as found,
        (select sum(prorated_usd) from {{ ref('stg_payment_products') }}) as expected
)

select * from sums where {{ differ('found', 'expected') }}
