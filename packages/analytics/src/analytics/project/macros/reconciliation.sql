{% macro number_of(text, digits) -%}
{{ return(adapter.dispatch('number_of')(text, digits)) }}
{%- endmacro %}

{% macro duckdb__number_of(text, digits) -%}
try_cast({{ text }} as decimal({{ digits }}, 2))
{%- endmacro %}

{% macro default__number_of(text, digits) -%}
case
    when cast({{ text }} as varchar) ~ '^[+-]?[0-9]{1,{{ digits - 2 }}}([.][0-9]*)?$'
        then cast({{ text }} as decimal({{ digits }}, 2))
end
{%- endmacro %}

{% macro cms_number(text) -%}
case
        when coalesce(trim({{ text }}), '') = '' then 0 else {{ number_of('trim(' ~ text ~ ')', 17) }}
    end
{%- endmacro %}

{% macro cms_totals(relation, id, name, dataset, payments, amount) -%}
select
    '{{ dataset }}' as dataset,
    year,
    release as summary_release,
    coalesce(nullif(trim({{ id }}), ''), '(none)') as entity_id,
    max(trim({{ name }})) as entity_name,
    cast(case when count({{ cms_number(payments) }}) = count(*) then sum({{ cms_number(payments) }}) end as bigint)
        as payments,
    {{ number_of('case when count(' ~ cms_number(amount) ~ ') = count(*) then sum(' ~ cms_number(amount) ~ ') end', 18) }}
        as amount_usd,
    bool_or(coalesce({{ cms_number(payments) }}, 1) <> 0 or coalesce({{ cms_number(amount) }}, 1) <> 0)
        as is_of_dataset
from {{ relation }}
group by year, release, coalesce(nullif(trim({{ id }}), ''), '(none)')
{%- endmacro %}
