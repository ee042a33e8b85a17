{% test fresh(model, column, days) %}
{{ config(severity='warn') }}
select max({{ column }}) as newest from {{ model }}
having max({{ column }}) < current_timestamp - interval '{{ days }} days'
{% endtest %}
