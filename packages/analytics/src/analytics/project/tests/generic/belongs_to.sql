{% test belongs_to(model, columns, to, only='true') %}
select distinct {{ columns | join(', ') }} from {{ model }} as one
where {{ only }} {% for column in columns %} and one.{{ column }} is not null {% endfor %}
    and not exists (
        select 1 from {{ to }} as other
        where true {% for column in columns %} and other.{{ column }} = one.{{ column }} {% endfor %}
    )
{% endtest %}
