-- A view: the payments themselves stand in the file once, in the staging tables.
{{ config(materialized='view') }}
{% set columns = {
    'dataset': 'varchar', 'year': 'integer', 'release': 'varchar', 'record_id': 'varchar', 'company_id': 'varchar',
    'id_kind': 'varchar', 'recipient_id': 'varchar', 'recipient_type': 'varchar', 'specialty': 'varchar',
    'city': 'varchar', 'state': 'varchar', 'country': 'varchar', 'payment_date': 'date', 'amount_usd': 'decimal(18, 2)',
    'payments_included': 'bigint', 'form': 'varchar', 'nature': 'varchar', 'third_party': 'varchar',
    'is_for_charity': 'boolean', 'is_to_an_owner': 'boolean', 'is_delayed': 'boolean', 'is_disputed': 'boolean',
    'flags': 'varchar', 'part': 'varchar',
} %}
{% set only_general = ['payments_included', 'nature', 'third_party', 'is_for_charity', 'is_to_an_owner'] %}
{% set lacking = {
    'stg_general_payments': [],
    'stg_research_payments': only_general,
    'stg_ownership_payments': only_general + ['payment_date', 'form', 'is_delayed'],
} %}
with payments as (
    {%- for model, absent in lacking.items() %}
    {% if not loop.first %}union all{% endif %}
    select
        {%- for column, type in columns.items() %}
        {% if column in absent %}cast(null as {{ type }}) as {% endif %}{{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ own(ref(model)) }}
    {%- endfor %}
)

select
    dataset, year, release, record_id, company_id, id_kind, recipient_id, recipient_type, specialty,
    city, state, country,
    payment_date,
    -- CMS itself published dates such as 0002-11-30: they stay, and belong to no month.
    cast(case when extract(year from payment_date) = year then date_trunc('month', payment_date) end as date)
        as payment_month,
    coalesce(extract(year from payment_date) <> year, false) as is_date_suspect,
    amount_usd,
    payments_included,
    form,
    nature,
    case
        when dataset = 'ownership-payments' then 'ownership'
        when nature = 'Royalty or License' then 'royalty'
        when nature = 'Acquisitions' then 'acquisition'
        when nature = 'Current or prospective ownership or investment interest' then 'ownership'
        else 'other'
    end as special_kind,
    {{ size_band('amount_usd') }} as size_band,
    coalesce(third_party in ('Entity', 'Individual'), false) as is_to_a_third_party,
    coalesce(is_for_charity, false) as is_for_charity,
    coalesce(is_to_an_owner, false) as is_to_an_owner,
    coalesce(is_delayed, false) as is_delayed,
    coalesce(is_disputed, false) as is_disputed,
    flags,
    part
from payments
