{% test shares_sum_to_the_amount(model) %}
select dataset, year, record_id, max(amount_usd) as amount_usd, sum(prorated_usd) as shares
from {{ model }}
group by dataset, year, record_id
having sum(prorated_usd) <> max(amount_usd)
    or count(*) <> max(products) or sum(position) * 2 <> count(*) * (count(*) + 1) or max(position) <> count(*)
{% endtest %}
