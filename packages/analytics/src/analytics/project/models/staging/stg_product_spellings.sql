-- Names are cleaned once a spelling, not once a payment: a brand in two cases is one product. No name is an empty one
-- here: texts that are equal can be joined by their hash, which no database does for what may be null on both sides.
select
    product,
    coalesce(nullif(upper(trim({{ one_blank('product') }})), ''), '(no name)') as product_id
from (select distinct coalesce(product, '') as product from {{ ref('stg_payment_products') }}) as spellings
