{% macro recipient_of(profile, hospital) -%}
case when {{ profile }} is not null then {{ profile }} else {{ hospital }} end as recipient_id,
    case
        when {{ profile }} is not null then 'profile' when {{ hospital }} is not null then 'teaching_hospital'
    end as id_kind
{%- endmacro %}

{% macro company_of() -%}
coalesce(applicable_manufacturer_or_applicable_gpo_making_payment_id, '(none)') as company_id
{%- endmacro %}
