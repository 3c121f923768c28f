//! For https: who signed the certificate, for whom, until when, and whether this machine trusts it.

use rustls::CertificateError;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::finding::Finding;
use super::road::{Fault, Road};
use super::tls::Seen;

const NAME: &str = "certificate";

pub(super) fn look(road: &Road, fault: Option<&Fault>) -> Finding {
    let Some(recorder) = &road.recorder else {
        return Finding::good(
            NAME,
            "plain http: there is no certificate, and all that remo sends is sealed without",
        );
    };
    match (recorder.seen(), fault) {
        (Some(seen), _) => judge(&seen),
        (None, Some(Fault::Tls(cause))) => Finding::bad(
            NAME,
            format!("no TLS comes about: {cause}"),
        )
        .remedy(
            "does https answer at this port? http:// serves as well, since everything is sealed",
        ),
        (None, _) => Finding::skipped(NAME, "left out: no connection came about"),
    }
}

fn judge(seen: &Seen) -> Finding {
    let read = Certificate::from_der(&seen.certificate);
    let Ok(read) = read else {
        return Finding::bad(NAME, "the server shows something that is no certificate");
    };
    let read = read.tbs_certificate();
    let (issuer, subject) = (shown(read.issuer()), shown(read.subject()));
    let until = read.validity().not_after.to_date_time().to_string();
    let inspecting = INSPECTING.iter().find(|name| {
        let issuer = issuer.to_lowercase();
        issuer.contains(**name)
    });
    let signed = if issuer == subject {
        format!("the certificate of '{subject}' is signed by nobody but itself, and ends {until}")
    } else {
        format!("the certificate of '{subject}' is signed by '{issuer}', and ends {until}")
    };
    let finding = match (seen.trusted, &seen.problem, inspecting) {
        (false, problem, _) => {
            let problem = problem.as_ref().map_or_else(String::new, why);
            Finding::bad(NAME, format!("{signed}; {problem}")).remedy(REMEDY)
        }
        (true, _, Some(_)) => Finding::notice(
            NAME,
            format!(
                "{signed}: by its name an inspecting proxy, which opens the TLS and makes it anew"
            ),
        )
        .action("nothing: it sees sealed bodies, when they travel and how long they are"),
        (true, Some(_), None) => Finding::good(
            NAME,
            format!("{signed}; the CA file that was given trusts it"),
        ),
        (true, None, None) => Finding::good(NAME, format!("{signed}; this machine trusts it")),
    };
    finding
        .fact("issuer", issuer)
        .fact("subject", subject)
        .fact(
            "not_before",
            read.validity().not_before.to_date_time().to_string(),
        )
        .fact("not_after", until)
        .fact("trusted", seen.trusted)
        .fact("trusted_by_machine", seen.problem.is_none())
        .fact("inspecting", inspecting.is_some())
}

/// A name, as RFC 4514 writes it, and not endless.
fn shown(name: &x509_cert::name::Name) -> String {
    name.to_string().chars().take(200).collect()
}

fn why(problem: &rustls::Error) -> String {
    use rustls::Error::InvalidCertificate;
    match problem {
        InvalidCertificate(CertificateError::UnknownIssuer) => {
            "this machine does not trust that authority".into()
        }
        InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "it has expired".into()
        }
        InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => "it is not valid yet (is the clock here right?)".into(),
        InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "it is for another name".into(),
        other => format!("it is not trusted: {other}"),
    }
}

const REMEDY: &str = "remo refuses it: give the authority's certificate with remo trust NAME URL --ca-file FILE, or SSL_CERT_FILE=FILE; \
http:// serves as well, since everything is sealed";

/// What the authorities of proxies that open TLS are called, in small letters.
const INSPECTING: &[&str] = &[
    "zscaler",
    "netskope",
    "forcepoint",
    "websense",
    "fortinet",
    "fortigate",
    "blue coat",
    "bluecoat",
    "symantec web",
    "palo alto",
    "checkpoint",
    "check point",
    "sophos",
    "mcafee",
    "skyhigh",
    "cisco umbrella",
    "iboss",
    "watchguard",
    "barracuda",
    "sonicwall",
    "untangle",
    "kaspersky",
    "eset ssl",
    "avast",
    "avg technologies",
    "bitdefender",
    "mitmproxy",
    "charles proxy",
    "burp",
    "fiddler",
    "squid",
    "ssl inspection",
    "tls inspection",
    "ssl interception",
    "decryption",
    "menlo security",
    "contentkeeper",
    "lightspeed",
    "smoothwall",
    "securly",
    "cato networks",
];
