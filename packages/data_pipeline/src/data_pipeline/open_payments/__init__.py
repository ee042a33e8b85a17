"""The CMS Open Payments domain: from the catalogue to a closed year."""
