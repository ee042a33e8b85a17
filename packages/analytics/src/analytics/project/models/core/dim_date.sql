-- Every day of every year from the first program year of the lake to the last.
with years as (
    select min(year) as first_year, max(year) as last_year from {{ ref('stg_builds') }}
),

digits as (
    {% for digit in range(10) %}select {{ digit }} as digit {% if not loop.last %}union all {% endif %}{% endfor %}
),

-- Numbers up to 9,999 as every database counts them: 27 years of days.
numbers as (
    select cast(one.digit + 10 * ten.digit + 100 * hundred.digit + 1000 * thousand.digit as integer) as number
    from digits as one cross join digits as ten cross join digits as hundred cross join digits as thousand
),

days as (
    select cast(cast(years.first_year as varchar) || '-01-01' as date) + numbers.number as day, years.last_year
    from years cross join numbers
    where years.first_year is not null
)

select
    day as date_day,
    cast(extract(year from day) as integer) as year,
    cast(extract(quarter from day) as integer) as quarter,
    cast(extract(month from day) as integer) as month,
    cast(date_trunc('month', day) as date) as month_start,
    cast(case when extract(dow from day) = 0 then 7 else extract(dow from day) end as integer) as day_of_week,
    extract(dow from day) in (0, 6) as is_weekend
from days
where extract(year from day) <= last_year
order by date_day
