//! The baseline: actix-web + rustls and nothing but the HMAC. What any receiver written with these libraries costs at the least.

use std::{net::SocketAddr, path::Path};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use futures_util::StreamExt;
use hmac::{Hmac, KeyInit, Mac};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use sha2::Sha256;

use crate::SECRET;

/// Serves until killed.
pub(crate) fn serve(listen: SocketAddr, tls: &Path) {
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("once");
    let chain = CertificateDer::pem_file_iter(tls.join("cert.pem")).expect("readable").map(|one| one.expect("PEM")).collect();
    let key = PrivateKeyDer::from_pem_file(tls.join("key.pem")).expect("PEM");
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).expect("a pair");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        HttpServer::new(|| App::new().default_service(web::to(check)))
            .workers(std::thread::available_parallelism().map_or(2, usize::from).min(4))
            .bind_rustls_0_23(listen, config)
            .expect("a free port")
            .run()
            .await
            .expect("served");
    });
}

async fn check(request: HttpRequest, mut payload: web::Payload) -> HttpResponse {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length");
    while let Some(chunk) = payload.next().await {
        match chunk {
            Ok(bytes) => mac.update(&bytes),
            Err(_) => return HttpResponse::BadRequest().finish(),
        }
    }
    let given = request.headers().get("x-hub-signature-256").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let given = hex::decode(given.strip_prefix("sha256=").unwrap_or_default()).unwrap_or_default();
    if mac.verify_slice(&given).is_ok() { HttpResponse::Ok().finish() } else { HttpResponse::Unauthorized().finish() }
}
