{% test ranked(model, ids, amount='amount_usd') %}
with compared as (
    select
        *,
        row_number() over (partition by dataset, year order by {{ amount }} desc, {{ ids | join(', ') }}) as expected
    from {{ model }}
)

select dataset, year, rank, expected from compared where rank <> expected
{% endtest %}
