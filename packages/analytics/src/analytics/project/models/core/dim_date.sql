-- Every day of every year from the first program year of the lake to the last.
with years as (
    select min(year) as first_year, max(year) as last_year from {{ ref('stg_builds') }}
),

days as (
    select cast(unnest(generate_series(
        cast(make_date(cast(first_year as integer), 1, 1) as timestamp),
        cast(make_date(cast(last_year as integer), 12, 31) as timestamp), interval 1 day
    )) as date) as day
    from years where first_year is not null
)

select
    day as date_day,
    cast(extract(year from day) as integer) as year,
    cast(extract(quarter from day) as integer) as quarter,
    cast(extract(month from day) as integer) as month,
    cast(date_trunc('month', day) as date) as month_start,
    cast(extract(isodow from day) as integer) as day_of_week,
    extract(isodow from day) >= 6 as is_weekend
from days
order by date_day
