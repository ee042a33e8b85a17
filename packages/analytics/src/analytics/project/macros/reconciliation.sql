{% macro cms_number(text) -%}
case
        when coalesce(trim({{ text }}), '') = '' then 0 else try_cast(trim({{ text }}) as decimal(17, 2))
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
    try_cast(case when count({{ cms_number(amount) }}) = count(*) then sum({{ cms_number(amount) }}) end
             as decimal(18, 2)) as amount_usd,
    bool_or(coalesce({{ cms_number(payments) }}, 1) <> 0 or coalesce({{ cms_number(amount) }}, 1) <> 0)
        as is_of_dataset
from {{ relation }}
group by all
{%- endmacro %}
