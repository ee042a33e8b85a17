-- Question 2: recipients by amount. Ids only: names are in dim_recipient.
with recipients as (
    select
        dataset, year, release, id_kind, recipient_id,
        {{ usd('sum(amount_usd)') }} as amount_usd,
        cast(sum(payments) as bigint) as payments,
        cast(count(*) as bigint) as companies
    from {{ ref('mart_recipient_companies') }}
    where recipient_id is not null
    group by dataset, year, release, id_kind, recipient_id
)

select
    dataset, year, release,
    {{ rank_in_year('amount_usd', ['id_kind', 'recipient_id']) }} as rank,
    id_kind, recipient_id, amount_usd, payments, companies,
    {{ share_of_year('amount_usd') }} as share
from recipients
order by dataset, year, rank
