-- As companies; a person and a hospital may have the same number, so the kind belongs to the id.
with named as (
    select
        *,
        row_number() over (partition by id_kind, recipient_id order by year desc, dataset) as age
    from {{ source('lake', 'recipients') }}
),

latest as (select * from named where age = 1),

totals as (
    select
        id_kind, recipient_id,
        cast(min(year) as integer) as first_year,
        cast(max(year) as integer) as last_year,
        cast(sum(payments) as bigint) as payments,
        {{ usd('sum(amount_usd)') }} as amount_usd
    from named
    group by id_kind, recipient_id
)

select
    id_kind, recipient_id,
    latest.recipient_type, latest.first_name, latest.middle_name, latest.last_name, latest.hospital_name, latest.npi,
    latest.specialty, latest.city, latest.state, latest.country,
    totals.first_year, totals.last_year, totals.payments, totals.amount_usd
from totals inner join latest using (id_kind, recipient_id)
order by id_kind, recipient_id
