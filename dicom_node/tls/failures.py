"""Failures of TLS in words that an administrator can act on."""

import ssl

_AUTHORITY = "its certificate comes from an authority that is not in tls_ca, or in client_ca where it calls"
# Numbers of OpenSSL, x509_vfy.h and openssl-verification-options(1), in the words of an administrator.
_VERIFY_WORDS = {
    # Another authority of the same name.
    7: _AUTHORITY,
    10: "its certificate has expired: renew it there",
    9: "its certificate is not valid yet: check both clocks",
    18: "it signed its certificate itself: pin it by tls_fingerprints, or put the certificate into client_ca where it calls",
    19: _AUTHORITY,
    20: _AUTHORITY,
    21: _AUTHORITY,
    62: "its certificate is for another host: set tls_server_name, or pin it by tls_fingerprints",
    64: "its certificate is for another address: set tls_server_name, or pin it by tls_fingerprints",
}
_ALERT_WORDS = {
    "UNKNOWN_CA": "it does not know the authority of our certificate: give it that authority",
    "BAD_CERTIFICATE": "it does not accept our certificate",
    "CERTIFICATE_REQUIRED": "it demands a certificate of us: set tls_certificate",
    "CERTIFICATE_UNKNOWN": "it does not accept our certificate",
    "CERTIFICATE_EXPIRED": "it says that our certificate has expired",
    "HANDSHAKE_FAILURE": "no protocol, cipher or certificate in common: it must speak TLS 1.2 or 1.3 by BCP 195",
    "PROTOCOL_VERSION": "no protocol in common: it must speak TLS 1.2 or 1.3",
    "UNSUPPORTED_PROTOCOL": "no protocol in common: it must speak TLS 1.2 or 1.3",
    "NO_SHARED_CIPHER": "no cipher in common: it must offer ECDHE with AES-GCM or ChaCha20 (BCP 195)",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no certificate",
    "WRONG_VERSION_NUMBER": "it does not speak TLS on this port",
    "HTTP_REQUEST": "it does not speak TLS on this port",
}


def failure_in_words(exc: OSError) -> str:
    """Why a connection failed; "it" is the peer."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        known = _VERIFY_WORDS.get(exc.verify_code)
        return known or f"its certificate is not accepted: {exc.verify_message}"
    if isinstance(exc, TimeoutError):
        return "the TLS handshake was not finished in time"
    if isinstance(exc, ssl.SSLEOFError | ConnectionResetError | BrokenPipeError):
        return "it closed the connection in the TLS handshake: it may not speak TLS on this port"
    if isinstance(exc, ssl.SSLError):
        reason = exc.reason or type(exc).__name__
        words = next((words for alert, words in _ALERT_WORDS.items() if reason.endswith(alert)), "")
        return words or f"TLS failed: {reason.lower().replace('_', ' ')}"
    return exc.strerror or type(exc).__name__
