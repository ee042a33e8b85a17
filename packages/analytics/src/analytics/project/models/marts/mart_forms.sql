-- Question 4: payments by form.
select
    dataset, year, release,
    coalesce(form, '(none)') as form,
    {{ usd('sum(amount_usd)') }} as amount_usd,
    cast(count(*) as bigint) as payments,
    {{ share_of_year('sum(amount_usd)') }} as share
from {{ ref('fct_payments') }}
group by dataset, year, release, coalesce(form, '(none)')
order by dataset, year, form
