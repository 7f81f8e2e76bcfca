"""Makes pre-training records from text, as the reference's create_pretraining_data.py does.

`documents` reads text as word pieces, `instances` cuts and masks them, `record` serialises the result, and
`record_process` does all of that for one file in a process of its own. `wikipedia` prepares MLPerf's text, and `text`
any other.
"""
