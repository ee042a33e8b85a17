-- Question 14: payments to third parties, to charities and to owners, and those that were delayed or are disputed. One
-- payment may be in several rows or in none. All markers are counted in one pass.
{% set markers = {
    'third party': 'is_to_a_third_party', 'charity': 'is_for_charity', 'owner': 'is_to_an_owner',
    'delayed': 'is_delayed', 'disputed': 'is_disputed', 'flagged': 'flags is not null',
    'date suspect': 'is_date_suspect',
} %}
with counted as (
    select
        dataset, year, release
        {%- for condition in markers.values() %},
        sum(case when {{ condition }} then amount_usd else 0 end) as amount_{{ loop.index }},
        sum(case when {{ condition }} then 1 else 0 end) as payments_{{ loop.index }}
        {%- endfor %}
    from {{ ref('fct_payments') }}
    group by dataset, year, release
),

marked as (
    {%- for marker in markers %}
    {% if not loop.first %}union all{% endif %}
    select
        dataset, year, release, '{{ marker }}' as marker,
        amount_{{ loop.index }} as amount_usd, payments_{{ loop.index }} as payments
    from counted
    {%- endfor %}
)

select dataset, year, release, marker, {{ usd('amount_usd') }} as amount_usd, cast(payments as bigint) as payments
from marked
order by dataset, year, marker
