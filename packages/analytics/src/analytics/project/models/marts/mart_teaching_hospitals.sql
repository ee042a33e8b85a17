-- Question 12: teaching hospitals, which CMS numbers apart from persons.
select
    hospitals.dataset, hospitals.year, hospitals.release,
    {{ rank_in_year('hospitals.amount_usd', ['hospitals.recipient_id']) }} as rank,
    hospitals.recipient_id, names.hospital_name, names.state,
    hospitals.amount_usd, hospitals.payments, hospitals.companies
from {{ ref('mart_top_recipients') }} as hospitals
left join {{ ref('dim_recipient') }} as names
    on hospitals.id_kind = names.id_kind and hospitals.recipient_id = names.recipient_id
where hospitals.id_kind = 'teaching_hospital'
order by hospitals.dataset, hospitals.year, rank
