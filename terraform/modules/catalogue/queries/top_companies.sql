-- Who paid most in a year (question 1 of docs/marts.md). A company is its id; its name is the one of its latest payment.
SELECT companies.company_id, companies.company_name, companies.amount_usd, companies.payments, paid.recipients
FROM companies
JOIN (
  SELECT applicable_manufacturer_or_applicable_gpo_making_payment_id AS company_id,
         count(DISTINCT covered_recipient_profile_id) + count(DISTINCT teaching_hospital_id) AS recipients
  FROM general_payments
  WHERE dataset = 'general-payments' AND year = 2024
  GROUP BY 1
) AS paid ON paid.company_id = companies.company_id
WHERE companies.dataset = 'general-payments' AND companies.year = 2024
ORDER BY companies.amount_usd DESC, companies.company_id
LIMIT 100
