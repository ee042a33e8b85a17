-- Reconciliation: how many entities were compared with CMS's summaries, and by how much they differ in all.
select
    dataset, year, release, entity_kind, summary_release, is_whole_year,
    cast(count(*) as bigint) as entities,
    cast(sum(case when is_different then 1 else 0 end) as bigint) as entities_differing,
    cast(sum(payments_difference) as bigint) as payments_difference,
    cast(sum(amount_difference_usd) as decimal(38, 2)) as amount_difference_usd,
    cast(sum(abs(amount_difference_usd)) as decimal(38, 2)) as amount_differing_usd
from {{ ref('mart_reconciliation') }}
group by dataset, year, release, entity_kind, summary_release, is_whole_year
order by dataset, year, entity_kind
