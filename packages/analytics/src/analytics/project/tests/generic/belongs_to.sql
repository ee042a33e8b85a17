{% test belongs_to(model, columns, to, only='true') %}
-- An anti join: "not exists" would first collect the distinct keys of one side, which costs three times as much.
select {% for column in columns %} one.{{ column }}{{ "," if not loop.last }} {% endfor %} from {{ model }} as one
anti join {{ to }} as other on {% for column in columns %}
    other.{{ column }} = one.{{ column }} {{ "and" if not loop.last }} {% endfor %}
where {{ only }} {% for column in columns %} and one.{{ column }} is not null {% endfor %}
{% endtest %}
