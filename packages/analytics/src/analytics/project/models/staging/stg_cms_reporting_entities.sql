-- What CMS itself says of each company. An empty text is zero; one that is no number stays empty, and so differs.
{% set figures = [
    ('general-payments', 'trans_general', 'total_amount_general'),
    ('research-payments', 'trans_research', 'total_amount_research'),
    ('ownership-payments', 'trans_invested', 'total_amount_interest'),
] %}
{% for dataset, payments, amount in figures %}
{{ cms_totals(source('lake', 'cms_reporting_entities'), 'amgpo_making_payment_id', 'amgpo_making_payment_name',
              dataset, payments, amount) }}
{% if not loop.last %}union all{% endif %}
{% endfor %}
