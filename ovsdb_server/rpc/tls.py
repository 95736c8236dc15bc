"""Which versions of TLS a context accepts, from the text of --ssl-protocols.

Imported only where TLS is spoken: loading `ssl` takes longer than starting Python.
"""

import ssl

VERSIONS = {"TLSv1": ssl.TLSVersion.TLSv1, "TLSv1.1": ssl.TLSVersion.TLSv1_1,
            "TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def limit_versions(context: ssl.SSLContext, protocols: str) -> None:
    """Accept the versions in a list such as "TLSv1.2,TLSv1.3" or "TLSv1.2+"."""
    words = protocols.replace(",", " ").split()
    chosen = [VERSIONS[word.rstrip("+")] for word in words if word.rstrip("+") in VERSIONS]
    if chosen:
        context.minimum_version = min(chosen)
        if not any(word.endswith("+") for word in words):
            context.maximum_version = max(chosen)
