{% test conserved(model, amount='amount_usd', rows=none, datasets=none) %}
with expected as (
    select dataset, year, amount_usd, rows from {{ ref('stg_builds') }}
    where rows > 0 {% if datasets %} and dataset in ('{{ datasets | join("', '") }}') {% endif %}
),

found as (
    select dataset, year, sum({{ amount }}) as amount_usd, {{ rows or 'null' }} as rows from {{ model }}
    group by dataset, year
)

select * from expected full join found using (dataset, year)
where {{ differ('expected.amount_usd', 'found.amount_usd') }}
    {% if rows %} or {{ differ('expected.rows', 'cast(found.rows as bigint)') }} {% endif %}
{% endtest %}
