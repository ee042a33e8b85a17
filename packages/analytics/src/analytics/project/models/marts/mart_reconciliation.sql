-- Reconciliation: our figures beside those that CMS publishes in summaries of its own. An entity that only one side has
-- is a row, too. Of a part of a year only companies are compared, for a hospital is paid by others as well.
{% set said = 'dataset, year, summary_release, entity_id, entity_name, payments, amount_usd, is_of_dataset' %}
with theirs as (
    select 'company' as entity_kind, {{ said }} from {{ ref('stg_cms_reporting_entities') }}
    union all
    select 'teaching_hospital' as entity_kind, {{ said }} from {{ ref('stg_cms_teaching_hospitals') }}
),

hospital_payments as (
    select dataset, year, hospital_ccn, amount_usd from {{ ref('stg_general_payments') }}
    union all
    select dataset, year, hospital_ccn, amount_usd from {{ ref('stg_research_payments') }}
),

ours as (
    select 'company' as entity_kind, dataset, year, company_id as entity_id, company_name, payments, amount_usd
    from {{ ref('mart_top_companies') }}
    union all
    select
        'teaching_hospital' as entity_kind, dataset, year, hospital_ccn as entity_id, null as company_name,
        count(*) as payments, {{ usd('sum(amount_usd)') }} as amount_usd
    from hospital_payments
    where hospital_ccn is not null
    group by dataset, year, hospital_ccn
),

scopes as (
    select distinct
        builds.dataset, builds.year, builds.release, builds.closed as is_whole_year,
        theirs.entity_kind, theirs.summary_release
    from {{ ref('stg_builds') }} as builds
    inner join theirs on builds.dataset = theirs.dataset and builds.year = theirs.year
    where builds.closed or theirs.entity_kind = 'company'
),

joined as (
    select
        dataset, year, entity_kind, entity_id,
        coalesce(theirs.entity_name, ours.company_name) as entity_name,
        case
            when theirs.is_of_dataset is null then 'ours' when ours.payments is null then 'cms' else 'both'
        end as found_in,
        ours.payments,
        theirs.payments as cms_payments,
        ours.amount_usd,
        theirs.amount_usd as cms_amount_usd
    from ours
    full outer join (select * from theirs where is_of_dataset) as theirs using (dataset, year, entity_kind, entity_id)
),

compared as (
    select
        scopes.dataset, scopes.year, scopes.release, scopes.entity_kind, scopes.summary_release, scopes.is_whole_year,
        joined.entity_id, joined.entity_name, joined.found_in,
        joined.payments, joined.cms_payments, joined.amount_usd, joined.cms_amount_usd,
        coalesce(joined.payments, 0) - coalesce(joined.cms_payments, 0) as payments_difference,
        coalesce(joined.amount_usd, 0) - coalesce(joined.cms_amount_usd, 0) as amount_difference_usd
    from scopes
    inner join joined
        on scopes.dataset = joined.dataset and scopes.year = joined.year and scopes.entity_kind = joined.entity_kind
    where scopes.is_whole_year or joined.found_in <> 'cms'
)

select
    dataset, year, release, entity_kind, entity_id, entity_name, summary_release, is_whole_year, found_in,
    cast(payments as bigint) as payments,
    cms_payments,
    cast(payments_difference as bigint) as payments_difference,
    amount_usd,
    cms_amount_usd,
    cast(amount_difference_usd as decimal(38, 2)) as amount_difference_usd,
    {{ differ('payments', 'cms_payments') }} or {{ differ('amount_usd', 'cms_amount_usd') }} as is_different
from compared
order by dataset, year, entity_kind, entity_id
