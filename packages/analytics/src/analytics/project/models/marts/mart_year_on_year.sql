-- Question 8: a year against the year before it. Nurses, physician assistants and others are in the data since 2021, so
-- the series of all recipients breaks there; that of physicians and teaching hospitals does not. Each year has one
-- release, and both are named: figures of different releases may differ for that alone.
with payments as (
    select
        dataset, year, release, amount_usd,
        recipient_type is null or recipient_type <> 'Covered Recipient Non-Physician Practitioner' as was_covered
    from {{ ref('fct_payments') }}
),

years as (
    select 'all' as population, dataset, year, release, sum(amount_usd) as amount_usd, count(*) as payments
    from payments
    group by dataset, year, release
    union all
    select 'covered before 2021' as population, dataset, year, release, sum(amount_usd), count(*)
    from payments
    where was_covered
    group by dataset, year, release
)

select
    this.dataset, this.year, this.release, this.population,
    {{ usd('this.amount_usd') }} as amount_usd,
    cast(this.payments as bigint) as payments,
    before.release as previous_release,
    {{ usd('before.amount_usd') }} as previous_amount_usd,
    cast(before.payments as bigint) as previous_payments,
    {{ millionths('cast(this.amount_usd as double precision) / nullif(cast(before.amount_usd as double precision), 0) - 1') }}
        as amount_change,
    {{ millionths('cast(this.payments as double precision) / nullif(before.payments, 0) - 1') }} as payments_change,
    this.year = 2021 and this.population = 'all' as is_break_in_series
from years as this
left join years as before
    on this.dataset = before.dataset and this.population = before.population and this.year = before.year + 1
order by this.dataset, this.population, this.year
