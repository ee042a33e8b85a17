{% macro payments_by(expression, column) -%}
select
    dataset, year, release,
    {{ expression }} as {{ column }},
    {{ usd('sum(amount_usd)') }} as amount_usd,
    cast(count(*) as bigint) as payments,
    {{ share_of_year('sum(amount_usd)') }} as share
from {{ ref('fct_payments') }}
group by dataset, year, release, {{ expression }}
order by dataset, year, {{ column }}
{%- endmacro %}
