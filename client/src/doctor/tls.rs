//! TLS whose certificate is looked at, not judged: what the judgement would be is recorded.
//! Not here: what is told of it.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;

use crate::error::Error;

/// The certificate that was shown, and whether it is trusted.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// In DER form.
    pub(super) certificate: CertificateDer<'static>,
    /// Why this machine does not trust it.
    pub(super) problem: Option<rustls::Error>,
    /// Whether it is trusted with the CA certificates that were given for this server.
    pub(super) trusted: bool,
}

/// Lets every certificate pass, and remembers the last with its judgement. It must guard nothing: `doctor` sends
/// only what is sealed, or what anybody may read.
#[derive(Debug)]
pub(super) struct Recorder {
    provider: Arc<CryptoProvider>,
    /// Those of this machine; none where it has none.
    machine: Option<Verifier>,
    /// Those with what was given besides.
    given: Option<Verifier>,
    seen: Mutex<Option<Seen>>,
}

impl Recorder {
    /// The last certificate that was shown.
    pub(super) fn seen(&self) -> Option<Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let judge = |verifier: &Verifier| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        let nobody = || rustls::Error::General("this machine has no CA certificates".into());
        let problem = match &self.machine {
            Some(machine) => judge(machine).err(),
            None => Some(nobody()),
        };
        let trusted =
            problem.is_none() || self.given.as_ref().is_some_and(|all| judge(all).is_ok());
        let seen = Seen {
            certificate: end_entity.clone().into_owned(),
            problem,
            trusted,
        };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// TLS with a server whose certificate is recorded; `authorities` in PEM form are trusted too.
///
/// # Errors
/// [`Error::Setup`], where they are no certificates.
pub(super) fn recording_config(
    authorities: Option<&[u8]>,
) -> Result<(Arc<ClientConfig>, Arc<Recorder>), Error> {
    let setup = |error: &dyn std::fmt::Display| Error::Setup(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let given = match authorities {
        None => None,
        Some(pem) => {
            let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
            let certificates = certificates.map_err(|error| setup(&error))?;
            Verifier::new_with_extra_roots(certificates, provider.clone()).ok()
        }
    };
    let recorder = Arc::new(Recorder {
        machine: Verifier::new(provider.clone()).ok(),
        provider: provider.clone(),
        given,
        seen: Mutex::default(),
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| setup(&error))?
        .dangerous()
        .with_custom_certificate_verifier(recorder.clone())
        .with_no_client_auth();
    Ok((Arc::new(over_http1(config)), recorder))
}

/// TLS with a proxy, whose certificate must be trusted: it may be sent a password.
///
/// # Errors
/// [`Error::Setup`], without CA certificates on this machine.
pub(super) fn plain_config() -> Result<Arc<ClientConfig>, Error> {
    let setup = |error: rustls::Error| Error::Setup(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new(provider.clone()).map_err(setup)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(setup)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(over_http1(config)))
}

fn over_http1(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}
