-- Payments of a year by month (question 7 of docs/marts.md). Dates outside of the year, which CMS itself published, are in
-- the row without a month.
SELECT CASE WHEN year(date_of_payment) = year THEN date_trunc('month', date_of_payment) END AS month,
       count(*) AS payments,
       sum(total_amount_of_payment_usdollars) AS amount_usd
FROM general_payments
WHERE dataset = 'general-payments' AND year = 2024
GROUP BY 1
ORDER BY 1
