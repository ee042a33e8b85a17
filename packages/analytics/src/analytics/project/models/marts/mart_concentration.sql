-- Question 11: how much goes to few. Of recipients with an id and of companies: the shares of the top 1 % and of the
-- first hundred, the Gini coefficient and the Herfindahl-Hirschman index of shares (0 to 1). Amounts below zero are
-- taken as zero, since none of these is defined for them.
with members as (
    select 'companies' as of_whom, dataset, year, release, company_id as id, amount_usd
    from {{ ref('mart_top_companies') }}
    union all
    select 'recipients' as of_whom, dataset, year, release, id_kind || '/' || recipient_id as id, amount_usd
    from {{ ref('mart_top_recipients') }}
),

placed as (
    select
        of_whom, dataset, year, release,
        cast(greatest(amount_usd, 0) as double precision) as amount,
        row_number() over (partition by of_whom, dataset, year order by amount_usd desc, id) as place,
        count(*) over (partition by of_whom, dataset, year) as members
    from members
),

summed as (
    select
        of_whom, dataset, year, release,
        max(members) as members,
        sum(amount) as amount,
        sum(case when place <= ceil(members * 0.01) then amount else 0 end) as top_1_percent,
        sum(case when place <= 100 then amount else 0 end) as top_100,
        sum(amount * amount) as squares,
        -- The smallest has the highest place: 2 i - n - 1 with i counted from the smallest.
        sum((members + 1 - 2 * place) * amount) as weighted
    from placed
    group by of_whom, dataset, year, release
)

select
    dataset, year, release, of_whom,
    cast(members as bigint) as members,
    {{ millionths('top_1_percent / nullif(amount, 0)') }} as top_1_percent_share,
    {{ millionths('top_100 / nullif(amount, 0)') }} as top_100_share,
    {{ millionths('weighted / nullif(members * amount, 0)') }} as gini,
    {{ millionths('squares / nullif(amount * amount, 0)') }} as hhi
from summed
order by dataset, year, of_whom
