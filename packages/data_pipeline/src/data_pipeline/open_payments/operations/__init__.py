"""What is done with runs that exist: status, verify, diff, upload, gc."""
