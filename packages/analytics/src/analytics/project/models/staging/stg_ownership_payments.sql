-- Only physicians and their families report ownership; CMS may leave the value empty, which adds nothing to a sum.
select
    dataset, year, release, record_id,
    {{ company_of() }},
    {{ recipient_of('physician_profile_id', 'null') }},
    'Covered Recipient Physician' as recipient_type,
    physician_specialty as specialty,
    recipient_city as city, recipient_state as state, recipient_country as country,
    coalesce(value_of_interest, 0) as amount_usd,
    dispute_status_for_publication as is_disputed,
    _flags as flags, _part as part
from {{ source('lake', 'ownership_payments') }}
