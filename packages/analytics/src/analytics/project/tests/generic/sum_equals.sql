{% test sum_equals(model, of, to, to_sum='amount_usd', to_where='true') %}
with expected as (
    select dataset, year, sum({{ to_sum }}) as total from {{ to }} as whole
    where {{ to_where | replace('MODEL', model | string) }}
    group by dataset, year
),

found as (select dataset, year, sum({{ of }}) as total from {{ model }} group by dataset, year)

select dataset, year, expected.total as expected, found.total as found
from expected full join found using (dataset, year)
where {{ differ('expected.total', 'found.total') }}
{% endtest %}
