{% test belongs_to(model, columns, to, only='true') %}
-- A left join: "not exists" would first collect the distinct keys of one side, which costs three times as much.
select {% for column in columns %} one.{{ column }}{{ "," if not loop.last }} {% endfor %} from {{ model }} as one
left join {{ to }} as other on {% for column in columns %}
    other.{{ column }} = one.{{ column }} {{ "and" if not loop.last }} {% endfor %}
where other.{{ columns[0] }} is null and {{ only }} {% for column in columns %} and one.{{ column }} is not null {% endfor %}
{% endtest %}
