-- Question 1: companies by amount, by id and never by name.
with companies as (
    select
        dataset, year, release, company_id,
        {{ usd('sum(amount_usd)') }} as amount_usd,
        cast(sum(payments) as bigint) as payments,
        cast(count(recipient_id) as bigint) as recipients
    from {{ ref('mart_recipient_companies') }}
    group by dataset, year, release, company_id
)

select
    companies.dataset, companies.year, companies.release,
    {{ rank_in_year('companies.amount_usd', ['companies.company_id']) }} as rank,
    companies.company_id, names.company_name,
    companies.amount_usd, companies.payments, companies.recipients,
    {{ share_of_year('companies.amount_usd') }} as share
from companies left join {{ ref('dim_company') }} as names on companies.company_id = names.company_id
order by companies.dataset, companies.year, rank
