use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::{ToolError, ToolErrorClass};

/// Returns a TLS configuration that trusts the certificates of the operating system.
///
/// The configuration uses the cryptography provider installed by the program for its process.
/// Without such a provider, it uses ring, which needs only a C compiler to build. This function
/// installs no provider for the process.
pub(super) fn config() -> Result<ClientConfig, ToolError> {
    let provider = CryptoProvider::get_default().map_or_else(|| Arc::new(ring::default_provider()), Arc::clone);
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.and_then(BuilderVerifierExt::with_platform_verifier).map_err(|error| {
        ToolError::new(ToolErrorClass::Configuration, "tls_unavailable", format!("cannot set up TLS: {error}"))
            .with_help("install the system's CA certificates, or point SSL_CERT_FILE to a bundle of them")
    })?;
    Ok(config.with_no_client_auth())
}
