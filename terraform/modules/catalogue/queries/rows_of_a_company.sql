-- Payments of one company as the source sent them: reads that company's parts alone.
-- A payer id that is no number is x and the hexadecimal digits of its UTF-8 bytes: x2d31 is -1.
-- A release may hold parts that no run committed; join with file_audits, as in rows_against_manifest, where that matters.
SELECT nature_of_payment_or_transfer_of_value AS nature,
       count(*) AS lines,
       sum(TRY_CAST(total_amount_of_payment_usdollars AS decimal(18, 2))) AS usd
FROM raw_general_payments
WHERE dataset = 'general-payments' AND year = 2024 AND release = 'RELEASE' AND company_id = 'COMPANY-ID'
GROUP BY 1
ORDER BY usd DESC
