{# A recipient is a person by profile id, else a teaching hospital by its own id; the two are numbered apart. #}
{% macro recipient_of(profile, hospital) -%}
case when {{ profile }} is not null then {{ profile }} else {{ hospital }} end as recipient_id,
    case
        when {{ profile }} is not null then 'profile' when {{ hospital }} is not null then 'teaching_hospital'
    end as id_kind
{%- endmacro %}

{# Every payment has a company, even where CMS names none: else its amount would be in no list of companies. #}
{% macro company_of() -%}
coalesce(applicable_manufacturer_or_applicable_gpo_making_payment_id, '(none)') as company_id
{%- endmacro %}
