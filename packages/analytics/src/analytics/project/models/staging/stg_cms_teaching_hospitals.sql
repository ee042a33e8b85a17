-- What CMS itself says of each teaching hospital, as of companies. It knows hospitals by CCN here, not by its own id.
{% set figures = [
    ('general-payments', 'general_total_transactions', 'general_total_payment'),
    ('research-payments', 'research_total_transactions', 'research_total_payment'),
] %}
{% for dataset, payments, amount in figures %}
{{ cms_totals(source('lake', 'cms_teaching_hospitals'), 'teaching_hospital_ccn', 'teaching_hospital_name',
              dataset, payments, amount) }}
{% if not loop.last %}union all{% endif %}
{% endfor %}
