//! The one place that chooses who does TLS: rustls on ring, with the certificates that the system trusts.

/// A builder of HTTP clients that can speak TLS.
pub fn http_client() -> reqwest::ClientBuilder {
    // It fails only where a provider is installed already, and then there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}
