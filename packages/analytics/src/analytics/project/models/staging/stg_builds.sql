select
    dataset, year, release, build, number, run_id, closed, rows, quarantined,
    {{ usd('amount_usd') }} as amount_usd, created_at
from {{ source('lake', 'builds') }}
