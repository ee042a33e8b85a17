select
    dataset, year, release, record_id,
    {{ company_of() }},
    {{ recipient_of('covered_recipient_profile_id', 'teaching_hospital_id') }},
    covered_recipient_type as recipient_type,
    covered_recipient_specialty_1 as specialty,
    recipient_city as city, recipient_state as state, recipient_country as country,
    date_of_payment as payment_date,
    total_amount_of_payment_usdollars as amount_usd,
    number_of_payments_included_in_total_amount as payments_included,
    form_of_payment_or_transfer_of_value as form,
    nature_of_payment_or_transfer_of_value as nature,
    third_party_payment_recipient_indicator as third_party,
    charity_indicator as is_for_charity,
    physician_ownership_indicator as is_to_an_owner,
    delay_in_publication_indicator as is_delayed,
    dispute_status_for_publication as is_disputed,
    _flags as flags, _part as part
from {{ source('lake', 'general_payments') }}
