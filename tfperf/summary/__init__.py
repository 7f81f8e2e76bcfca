"""Many runs on one page: verdicts, figures, what differs, and who leads."""
