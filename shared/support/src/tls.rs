//! The cryptography that all TLS connections of a program use.

/// Chooses it once, at the program's start: two of the libraries each bring another, and rustls
/// refuses to guess.
pub fn choose_provider() {
    // Chosen before, which can only have been this choice.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
