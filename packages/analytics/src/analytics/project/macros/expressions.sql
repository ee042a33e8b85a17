{% macro usd(expression) -%}
cast({{ expression }} as decimal(18, 2))
{%- endmacro %}

{% macro share_of_year(amount) -%}
cast(round(cast({{ amount }} as double) / nullif(cast(sum({{ amount }}) over (partition by dataset, year) as double), 0), 6) as double)
{%- endmacro %}

{% macro rank_in_year(amount, ids) -%}
cast(row_number() over (partition by dataset, year order by {{ amount }} desc, {{ ids | join(', ') }}) as bigint)
{%- endmacro %}

{% macro own(relation) -%}
{{ relation.include(database=false) }}
{%- endmacro %}

{% macro size_band(amount) -%}
case
        when {{ amount }} <= 0 then '0 nothing or less'
        when {{ amount }} < 10 then '1 under 10'
        when {{ amount }} < 100 then '2 from 10'
        when {{ amount }} < 1000 then '3 from 100'
        when {{ amount }} < 10000 then '4 from 1,000'
        when {{ amount }} < 100000 then '5 from 10,000'
        when {{ amount }} <= 1000000 then '6 from 100,000'
        else '7 above 1,000,000'
    end
{%- endmacro %}
