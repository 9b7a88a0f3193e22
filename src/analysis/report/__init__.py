"""The report: one document that a stranger can read, every figure of it looked up in run files.

`build.write_report` writes it. Each section is a function from the `Context` to blocks of
Markdown; the HTML page is rendered from that Markdown and from nothing else.
"""
