{% test shares_sum_to_the_amount(model) %}
-- Most payments have one product, and sums of decimals are dear. A payment whose rows disagree of how many there are fails
-- in one part or the other.
select dataset, year, record_id, max(amount_usd) as amount_usd, max(prorated_usd) as shares
from {{ model }}
where products = 1
group by dataset, year, record_id
having count(*) > 1 or max(position) <> 1 or max(prorated_usd) <> max(amount_usd)
union all
select dataset, year, record_id, max(amount_usd) as amount_usd, sum(prorated_usd) as shares
from {{ model }}
where coalesce(products, 0) <> 1
group by dataset, year, record_id
having sum(prorated_usd) <> max(amount_usd)
    or count(*) <> coalesce(max(products), 0) or sum(position) * 2 <> count(*) * (count(*) + 1) or max(position) <> count(*)
{% endtest %}
