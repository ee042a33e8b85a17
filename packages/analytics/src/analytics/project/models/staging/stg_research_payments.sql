select
    dataset, year, release, record_id,
    {{ company_of() }},
    {{ recipient_of('covered_recipient_profile_id', 'teaching_hospital_id') }},
    covered_recipient_type as recipient_type,
    teaching_hospital_ccn as hospital_ccn,
    covered_recipient_specialty_1 as specialty,
    recipient_city as city, recipient_state as state, recipient_country as country,
    date_of_payment as payment_date,
    total_amount_of_payment_usdollars as amount_usd,
    form_of_payment_or_transfer_of_value as form,
    delay_in_publication_indicator as is_delayed,
    dispute_status_for_publication as is_disputed,
    _flags as flags, _part as part
from {{ source('lake', 'research_payments') }}
