{% macro usd(expression) -%}
cast({{ expression }} as decimal(18, 2))
{%- endmacro %}

{% macro share_of_year(amount) -%}
{{ millionths('cast(' ~ amount ~ ' as double precision)'
    ' / nullif(cast(sum(' ~ amount ~ ') over (partition by dataset, year) as double precision), 0)') }}
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

{% macro millionths(ratio) -%}
{{ return(adapter.dispatch('millionths')(ratio)) }}
{%- endmacro %}

{% macro default__millionths(ratio) -%}
cast(round({{ ratio }}, 6) as double precision)
{%- endmacro %}

{#- PostgreSQL rounds only numeric to digits. -#}
{% macro postgres__millionths(ratio) -%}
cast(round(cast({{ ratio }} as numeric), 6) as double precision)
{%- endmacro %}

{#- Redshift's dispatch looks at PostgreSQL's next, and its numeric has no digits unless it is told. -#}
{% macro redshift__millionths(ratio) -%}
{{ default__millionths(ratio) }}
{%- endmacro %}

{% macro quotient(dividend, divisor) -%}
{{ return(adapter.dispatch('quotient')(dividend, divisor)) }}
{%- endmacro %}

{% macro default__quotient(dividend, divisor) -%}
{{ dividend }} / {{ divisor }}
{%- endmacro %}

{% macro duckdb__quotient(dividend, divisor) -%}
{{ dividend }} // {{ divisor }}
{%- endmacro %}

{% macro differ(one, other) -%}
{{ return(adapter.dispatch('differ')(one, other)) }}
{%- endmacro %}

{% macro default__differ(one, other) -%}
{{ one }} is distinct from {{ other }}
{%- endmacro %}

{% macro redshift__differ(one, other) -%}
(({{ one }} is null) <> ({{ other }} is null) or coalesce({{ one }} <> {{ other }}, false))
{%- endmacro %}

{% macro one_blank(text) -%}
{{ return(adapter.dispatch('one_blank')(text)) }}
{%- endmacro %}

{% macro default__one_blank(text) -%}
regexp_replace({{ text }}, '\s+', ' ', 'g')
{%- endmacro %}

{% macro redshift__one_blank(text) -%}
regexp_replace({{ text }}, '[[:space:]]+', ' ')
{%- endmacro %}
