-- Names are cleaned once a spelling, not once a payment: a brand in two cases is one product.
select
    product,
    coalesce(nullif(upper(trim(regexp_replace(product, '\s+', ' ', 'g'))), ''), '(no name)') as product_id
from (select distinct product from {{ ref('stg_payment_products') }}) as spellings
