{% test one_release(model) %}
select dataset, year, count(distinct release) as releases from {{ model }} group by dataset, year
having count(distinct release) > 1
{% endtest %}
