-- Question 5: persons by their first specialty; median and mean of a payment, and of what a person got in the year.
with persons as (
    select
        dataset, year, release, coalesce(specialty, '(none)') as specialty, recipient_id,
        sum(amount_usd) as amount_usd
    from {{ ref('fct_payments') }}
    where id_kind = 'profile'
    group by dataset, year, release, coalesce(specialty, '(none)'), recipient_id
),

per_person as (
    select
        dataset, year, specialty, count(*) as recipients,
        {{ usd('percentile_cont(0.5) within group (order by amount_usd)') }} as median_of_recipients_usd
    from persons
    group by dataset, year, specialty
),

per_payment as (
    select
        dataset, year, release, coalesce(specialty, '(none)') as specialty,
        sum(amount_usd) as amount_usd, count(*) as payments,
        {{ usd('percentile_cont(0.5) within group (order by amount_usd)') }} as median_of_payments_usd
    from {{ ref('fct_payments') }}
    where id_kind = 'profile'
    group by dataset, year, release, coalesce(specialty, '(none)')
)

select
    dataset, year, per_payment.release, specialty,
    {{ usd('per_payment.amount_usd') }} as amount_usd,
    cast(per_payment.payments as bigint) as payments,
    cast(per_person.recipients as bigint) as recipients,
    per_payment.median_of_payments_usd,
    {{ usd('per_payment.amount_usd / per_payment.payments') }} as mean_of_payments_usd,
    per_person.median_of_recipients_usd,
    {{ usd('per_payment.amount_usd / per_person.recipients') }} as mean_of_recipients_usd
from per_payment inner join per_person using (dataset, year, specialty)
order by dataset, year, specialty
