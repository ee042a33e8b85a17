-- Question 13: every payment above a million, the largest first.
select
    payments.dataset, payments.year, payments.release,
    {{ rank_in_year('payments.amount_usd', ['payments.record_id']) }} as rank,
    payments.record_id, payments.company_id, names.company_name, payments.id_kind, payments.recipient_id,
    payments.special_kind, payments.nature, payments.payment_date, payments.amount_usd, payments.flags
from {{ ref('fct_payments') }} as payments
left join {{ ref('dim_company') }} as names on payments.company_id = names.company_id
where payments.amount_usd > 1000000
order by payments.dataset, payments.year, rank
