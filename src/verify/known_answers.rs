//! Known answers for every scheme and every part of the grammar that no file of the catalogue uses yet. Signatures come from the documents
//! that define them (RFC 7515, RFC 8032), or were made with Python's `cryptography` 48.0.0; none was made by what is tested here.

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::Sha256;

    use crate::{
        clock::UnixMs,
        provider::{self, Provider},
        rejection::Rejection,
        request::{HeadersBuilder, RawRequest},
        secret::Secret,
        verify::{Credential, Greeted, Proof, Verified, Verifier},
        yaml::Problems,
    };

    const NOW: UnixMs = UnixMs(1_760_000_000_000);
    /// What the signatures made with Python are over.
    const MESSAGE: &str = r#"1760000000.{"id":"evt_1"}"#;
    const BODY: &str = r#"{"id":"evt_1"}"#;
    const RSA: &str = concat!(
        "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAy8xQqTB78Zr9oNChANDXj2PoU38LReQIjixNyRWEpLR+ZQ5NgjqYSwqjisArrY2wlg",
        "iqK6qpVjPDjis6XS9gWGLXgbTDKuCNvWgx/h1vbUnediD6122jEzn5nsi6a19dFnWQeHh1w2oQfQpqt9FzazdlWOactMF2y7q7G3FWPZK+JyDE",
        "lmGJ7Gj7aDOB7NbtADqxDgzQmsT1qBZysqGwOvi21MO1ZQdYzj6Bj/gG+otkIVUTTeQ+c4mv4YGGLfYRWd6ipCUMOg7rgNFZ5GkCl6fCbMl/4A",
        "tsTefn6tEA/xIh7BFEU3hOKsqbuokYVmL9J/oq72rZE+QrhxCfytrBlQIDAQAB",
    );
    const RSA_N: &str = concat!(
        "y8xQqTB78Zr9oNChANDXj2PoU38LReQIjixNyRWEpLR-ZQ5NgjqYSwqjisArrY2wlgiqK6qpVjPDjis6XS9gWGLXgbTDKuCNvWgx_h1vbUnedi",
        "D6122jEzn5nsi6a19dFnWQeHh1w2oQfQpqt9FzazdlWOactMF2y7q7G3FWPZK-JyDElmGJ7Gj7aDOB7NbtADqxDgzQmsT1qBZysqGwOvi21MO1",
        "ZQdYzj6Bj_gG-otkIVUTTeQ-c4mv4YGGLfYRWd6ipCUMOg7rgNFZ5GkCl6fCbMl_4AtsTefn6tEA_xIh7BFEU3hOKsqbuokYVmL9J_oq72rZE-",
        "QrhxCfytrBlQ",
    );
    const RSA_SHA1: &str = concat!(
        "gTdA3GBllR5ZW6tKp3tZ4IO6BhZGasoFQ+PCXBugBj0gn2928Dwixo+vWoJGdFriFoEspuOKFBCUQq7csShGvRKE1npYWK0LD0IQMxVr8PUUsb",
        "MC0hkyQ7nvcfDD+bnGIkjVrkRtSTpmT1WgYUFIU8Bc4c8HKo+Dxm1uygPmR7AcVmlhOpv1P5s0v12gFanrsoJuL4s+3B6iGefQ7iG2EtMQcMPV",
        "7MCf6I9t0b6ZzObpNkbjQgMSI+75hH256i/El1ED2mX3A79hcLOSAYL69spPFqHSeJ7Ba9qy92fhpJhORP1fDP5iV8DhW+1fIGfWrdhgDxjK8f",
        "M+PL4G0bW+Uw==",
    );
    const RSA_SHA256: &str = concat!(
        "IFzzpWjapthSMsfsLC4d/hl3bUVak7KyX6fo0idUm4sRmU7iTE4F7Vtm3lOuciRMimQvZeJ0Y2u7GLXDGH5h33Ya4OpPljWQw0CUTSLrrJiX7P",
        "31zevAZ5QvUoKyMMPMtJ68qyeZeQtGcOQWOtDFn1A+9ZBCvZ5gPvWm8oQk9cZjJJGkuThHQX5H0PBftWrvsPbwG6dw2rCJW+YFJYxdyDkcACE3",
        "4c6pSf1g1nIvxe1uQOdmDi7hspmO6R0W+Qu/Ezftmgdrv5hg4VoeW9G/s/P3zPjPEEEX7a+fejEqRsVbRQNGqpbblPd2eH8nAwUINn6He1pMnd",
        "cbxhNApAQ3bg==",
    );
    const RSA_SHA512: &str = concat!(
        "kNoo6r7drZh5PM5LiT/ttRmpiTnv5Z2CqT1IrLJl48z0M6cnFzZj4JEpxzaAz0xiP8hP0326nq3S6F3TfykNpiWiBxl70CX7bGE50YxOyTS7h9",
        "+vtWQq6yTFnUU77Kxas1Qgwu3cr64jlis6jN7/VO0A4dohovvrGFep78iTTO5slDraWbBIX/5ACQYfDFhXvHkTrwaqVmFH74eC0Q6WbyqTJFJH",
        "qMDV0L0ZPNzZY3bhBJGeYq+8d6fCRjOzDMkkQsjVXCxBEFng+PufALCkuThiVfp6ksnLqeQJW5qaJQUE2PoPJ+9mS7Cuq/Mc7xKsOXniTlwslj",
        "TfTYsSzNCE7A==",
    );
    const RSA_1024: &str = concat!(
        "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDSOnBJCxo6nwdFdBPpCK/SJQWqdiDHwfBvU9EcAfHygPvgKAe/nTBaEtiGHnuVyxNSLS3YAU",
        "W4d1kf1QRAOnkcdrcXs3N0Vyhs9IA2dtlU/P0dQjkHDjw04EiHfjaqjyTyY58V5muM3Q1xyc0RYxIowP3PWNOxj7StONv53cbLwQIDAQAB",
    );
    const P256: &str = concat!(
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEueEnIeytbAUNCfkmcj+iaQdN1HbVQ/g5HSHynBRnZfSdQ9T8f8iHzDjCGTNsZU3yRT78q3tWJq",
        "Rctza2ak3Pjg==",
    );
    const P256_SHA1: &str = "MEQCIB/9vNYJyrbhdmR3a5q6sQWXW6HeD5CjVf5gqEAl+dHCAiBzOJDfREq6Od3ipe3HVgXZaNLfPJTQOqhGB1LoOmnUfw==";
    const P256_SHA256: &str = "MEUCIErGW/XNXbXnWef5orPm4jbjGzf7Fixlw1iU6PG2xCJSAiEA+23usIpZKNOpzeA6b7eUSQMa/Ewrz2Gaw2eIbixZVdM=";
    const P384: &str = concat!(
        "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEOPfvrjU9j5t+rzkNKPY8Wn/AlO7p7cEJz22wQeGiYwL7l3tsYpXaWcpyLHD6P1WdFX9i9zymEajx9q",
        "eTHTi8ZIfEW5UoJLP1lQ0L7EykWnKGuoSlQCzq7nJcBpLN5T4I",
    );
    const ED25519: &str = "4151d7a1de183ad961f121d8410edd0de1e72bf862a4eb22ccff813ca1b7e56d";
    const ED25519_SPKI: &str = "MCowBQYDK2VwAyEAQVHXod4YOtlh8SHYQQ7dDeHnK/hipOsizP+BPKG35W0=";
    const ED25519_SIGNATURE: &str = concat!(
        "e8f043a6976ddf5b80269a34addb31d433f47568f22e8185e34fbcea86eae75a83b66340e921ffc7eb0b34c5d5bf3f2f19ba80f5845773",
        "6a32c0229afde22c0f",
    );
    const DETACHED: &str = concat!(
        "eyJhbGciOiJSUzUxMiIsImtpZCI6ImsxIn0..E9pCQj-vkueMcQarne9i-E5ej-CB-dhu47rzDmNefsPnDWFTXR4S1pnoQA7M1zTKCPzsaQFvu",
        "9u213hDFuB_rHMFCy_G83eXg87LVu4t_aFgAOon2Xi2vuvrv13VPPZlgwRkKRxX4h3KYGu3VQXYYKtBCW4LMoxYx9dAdzoPwYgwR33Wt3so1PJ",
        "hypGLydorY8yuOr1aiaFXu1g_AjkNnHQp6Dkl0FFlA82avEHtPeR4anVDrPn2Y8zq4-twpVqMFb5VJFPjlIrLafpiFOtoR1oNPiBqqm_2d4oS_",
        "ioWn3b6SqGMBXfmezy02dFxvvQF9-SVDIMjgAWOrpDdh0EZug",
    );
    const RFC7515_HS256: &str = concat!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlL",
        "mNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    );
    const RFC7515_HS256_KEY: &str = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    const RFC7515_RS256: &str = concat!(
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0c",
        "nVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdb",
        "F9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6",
        "_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig",
        "cN_IoypGlUPQGe77Rw",
    );
    const RFC7515_RS256_N: &str = concat!(
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-",
        "pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2Ca",
        "pHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb5",
        "4h4FRWyuXpoQ",
    );
    const RFC7515_ES256: &str = concat!(
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0c",
        "nVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    );

    fn load(text: &str) -> Result<Provider, String> {
        let mut problems = Problems::new();
        let provider = provider::read(&Arc::from("t.yaml"), &format!("provider: t\n{text}"), &|_| None, &mut problems);
        provider.ok_or_else(|| problems.into_sorted().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    fn verifier(text: &str, credentials: &[(&str, &str)]) -> Result<Verifier, String> {
        let provider = load(text)?;
        let each = |(name, value): &(&str, &str)| Credential { name: (*name).into(), value: Secret::new(*value), until: None };
        let credentials: Vec<Credential> = credentials.iter().map(each).collect();
        let endpoint = url::Url::parse("https://h.example.com/in").expect("a URL");
        Verifier::compile(&provider, &credentials, Some(&endpoint), None).map_err(|all| all.join("\n"))
    }

    fn request(method: &str, query: Option<&str>, headers: &[(&str, &str)], body: &str) -> RawRequest {
        let mut block = HeadersBuilder::new();
        headers.iter().for_each(|(name, value)| assert!(block.push(name, value.as_bytes())));
        RawRequest {
            method: method.into(),
            path: "/in".into(),
            query: query.map(Box::from),
            headers: block.build(),
            body: bytes::Bytes::copy_from_slice(body.as_bytes()),
            client_ip: std::net::IpAddr::from([127, 0, 0, 1]),
            received_at: NOW,
        }
    }

    /// What becomes of a POST; the head is asked first, as at the door.
    fn post(verifier: &Verifier, headers: &[(&str, &str)], body: &str) -> Result<Verified, Rejection> {
        let head = request("POST", None, headers, "");
        verifier.precheck(&head)?;
        verifier.verify(request("POST", None, headers, body), NOW)
    }

    fn signed(verifier: &Verifier, headers: &[(&str, &str)], body: &str) -> Result<(), Rejection> {
        post(verifier, headers, body).map(|_| ())
    }

    /// A provider that signs time and body with this scheme, encoding and form of key.
    fn scheme(scheme: &str, encoding: &str, form: &str, key: &str) -> Result<Verifier, String> {
        let text = format!(
            "verify:\n  - {{ scheme: {scheme}, signature: {{ at: header:S, encoding: {encoding} }}, message: \"{{header:T}}.{{body}}\", \
             key: {{ form: {form} }} }}"
        );
        verifier(&text, &[("secret", key)])
    }

    fn hs256(key: &[u8], header: &str, claims: &str) -> String {
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
        mac.update(input.as_bytes());
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    #[test]
    fn public_keys_verify_what_their_owner_signed_and_nothing_else() {
        assert_eq!(MESSAGE, format!("1760000000.{BODY}"));
        let pem = |spki: &str| format!("-----BEGIN PUBLIC KEY-----\n{spki}\n-----END PUBLIC KEY-----\n");
        let jwk = format!(r#"{{"keys":[{{"kty":"RSA","kid":"k1","use":"sig","n":"{RSA_N}","e":"AQAB"}},{{"kty":"EC","crv":"P-521"}}]}}"#);
        let cases = [
            ("rsa-sha1", "base64", "spki", RSA.to_owned(), RSA_SHA1),
            ("rsa-sha256", "base64", "pem", pem(RSA), RSA_SHA256),
            ("rsa-sha256", "base64", "jwks", jwk, RSA_SHA256),
            ("rsa-sha512", "base64", "base64", RSA.to_owned(), RSA_SHA512),
            ("ecdsa-p256-sha1", "base64", "pem", pem(P256), P256_SHA1),
            ("ecdsa-p256-sha256", "base64", "spki", P256.to_owned(), P256_SHA256),
            ("ed25519", "hex", "hex", ED25519.to_owned(), ED25519_SIGNATURE),
            ("ed25519", "hex", "spki", ED25519_SPKI.to_owned(), ED25519_SIGNATURE),
            ("ed25519", "hex", "pem", pem(ED25519_SPKI), ED25519_SIGNATURE),
        ];
        for (name, encoding, form, key, signature) in &cases {
            let verifier = scheme(name, encoding, form, key).unwrap_or_else(|why| panic!("{name} {form}: {why}"));
            let time = ("T", "1760000000");
            assert_eq!(signed(&verifier, &[("S", signature), time], BODY), Ok(()), "{name} {form}");
            assert_eq!(signed(&verifier, &[("S", signature), time], "{}"), Err(Rejection::BadSignature), "{name}: another body");
            assert_eq!(
                signed(&verifier, &[("S", signature), ("T", "1760000001")], BODY),
                Err(Rejection::BadSignature),
                "{name}: another time"
            );
            assert_eq!(signed(&verifier, &[("S", signature)], BODY), Err(Rejection::Malformed), "{name}: no time");
            for (_, _, _, _, other) in cases.iter().filter(|case| case.4 != *signature) {
                assert!(signed(&verifier, &[("S", other), time], BODY).is_err(), "{name}: another scheme's signature");
            }
        }
    }

    #[test]
    fn the_vector_of_rfc_8032_holds() {
        // RFC 8032, section 7.1, test 2.
        let text = "verify:\n  - { scheme: ed25519, signature: { at: header:S, encoding: hex }, message: \"{body}\", key: { form: hex } }";
        let verifier = verifier(text, &[("secret", "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")]).expect("compiles");
        let signature = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
        assert_eq!(signed(&verifier, &[("S", signature)], "r"), Ok(()));
        assert_eq!(signed(&verifier, &[("S", signature)], "s"), Err(Rejection::BadSignature));
        assert_eq!(signed(&verifier, &[("S", &signature.to_uppercase())], "r"), Err(Rejection::Malformed));
    }

    #[test]
    fn a_key_of_another_kind_or_too_small_is_refused_where_it_is_configured() {
        let error = |name: &str, form: &str, key: &str| scheme(name, "base64", form, key).map(|_| ()).expect_err("refused");
        assert_eq!(error("rsa-sha256", "spki", RSA_1024), "`secret` is an RSA key of 1024 bits, and fewer than 2048 can be forged");
        assert_eq!(error("rsa-sha256", "spki", P256), "`secret` is not a public key for rsa-sha256");
        assert_eq!(error("ecdsa-p256-sha256", "spki", P384), "`secret` is not a public key for ecdsa-p256-sha256");
        assert_eq!(error("ed25519", "spki", RSA), "`secret` is not a public key for ed25519");
        assert_eq!(error("ed25519", "hex", "00ff"), "`secret` is not a public key for ed25519");
        assert_eq!(error("ed25519", "jwks", r#"{"keys":[{"kty":"RSA"}]}"#), "`secret` has no key for ed25519");
        assert_eq!(error("ed25519", "jwks", "[]"), "`secret` is not a JSON Web Key or a set of them");
        let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(error("ed25519", "pem", private).starts_with("`secret` is a private key"));
        assert!(error("ed25519", "pem", "hush").starts_with("`secret` is not one block of PEM"));
        assert!(error("rsa-sha256", "text", RSA).contains("a public key has a form"));
        assert!(error("hmac-sha256", "pem", RSA).contains("this scheme has none"));
    }

    /// A provider whose signature is a JSON Web Signature.
    fn token(scheme: &str, key: &str, more: &str) -> String {
        format!(
            "verify:\n  - {{ scheme: {scheme}, signature: {{ at: header:Authorization, strip: \"Bearer \" }}, key: {{ {key} }}{more} }}"
        )
    }

    #[test]
    fn the_tokens_of_rfc_7515_hold_and_have_run_out() {
        let rsa = format!(r#"{{"kty":"RSA","n":"{RFC7515_RS256_N}","e":"AQAB"}}"#);
        let ec = concat!(
            r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","#,
            r#""y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#
        );
        let cases = [
            ("jws-hs256", "form: base64url", RFC7515_HS256_KEY, RFC7515_HS256),
            ("jws-rs256", "form: jwks", &rsa, RFC7515_RS256),
            ("jws-es256", "form: jwks", ec, RFC7515_ES256),
        ];
        for (scheme, form, key, text) in cases {
            let verifier = verifier(&token(scheme, form, ""), &[("secret", key)]).unwrap_or_else(|why| panic!("{scheme}: {why}"));
            let bearer = |text: &str| format!("Bearer {text}");
            // They ran out in March 2011, and were good a second before.
            let at = |seconds: i64, text: &str| {
                let request = request("POST", None, &[("Authorization", &bearer(text))], "");
                verifier.verify(request, UnixMs(seconds * 1000)).map(|_| ())
            };
            assert_eq!(at(1_300_819_379, text), Ok(()), "{scheme}");
            assert_eq!(at(1_300_819_380, text), Err(Rejection::Stale), "{scheme}");
            let broken = text.replacen("eyJpc3MiOiJqb2Ui", "eyJpc3MiOiJqb2Uj", 1);
            assert!(at(1_300_819_379, &broken).is_err(), "{scheme}");
            for (other, _, _, text) in cases.iter().filter(|(other, ..)| *other != scheme) {
                assert_eq!(at(1_300_819_379, text), Err(Rejection::Malformed), "{scheme} took {other}");
            }
        }
    }

    #[test]
    fn what_a_tokens_header_says_is_held_against_the_file_and_never_followed() {
        let verifier = verifier(&token("jws-hs256", "form: text", ""), &[("secret", "k")]).expect("compiles");
        let with = |header: &str, claims: &str| {
            let text = format!("Bearer {}", hs256(b"k", header, claims));
            signed(&verifier, &[("Authorization", &text)], "")
        };
        assert_eq!(with(r#"{"alg":"HS256"}"#, "{}"), Ok(()));
        assert_eq!(with(r#"{"alg":"HS256","typ":"JWT","kid":"x"}"#, r#"{"exp":1760000001,"nbf":1760000000}"#), Ok(()));
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"HS512"}"#,
            r#"{"alg":"hs256"}"#,
            r#"{"typ":"JWT"}"#,
            r#"{"alg":"HS256","alg":"HS256"}"#,
            r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
            r#"{"alg":"HS256","jku":"https://evil.example"}"#,
            r#"{"alg":"HS256","x5u":"https://evil.example"}"#,
            r#"{"alg":"HS256","jwk":{"kty":"oct","k":"aw"}}"#,
            r#"{"alg":"HS256","jwk":null}"#,
            "[]",
        ] {
            assert_eq!(with(header, "{}"), Err(Rejection::Malformed), "{header}");
        }
        assert_eq!(with(r#"{"alg":"HS256"}"#, r#"{"exp":1760000000}"#), Err(Rejection::Stale));
        assert_eq!(with(r#"{"alg":"HS256"}"#, r#"{"nbf":1760000001}"#), Err(Rejection::Future));
        assert_eq!(with(r#"{"alg":"HS256"}"#, r#"{"exp":"soon"}"#), Err(Rejection::Malformed));
        assert_eq!(with(r#"{"alg":"HS256"}"#, r#"{"exp":1860000000,"exp":1}"#), Err(Rejection::Malformed));
        // An RSA key is no secret: a token that is signed with it as one is another algorithm's.
        let public = verifier_of_rsa();
        let confused = format!("Bearer {}", hs256(RSA.as_bytes(), r#"{"alg":"HS256"}"#, "{}"));
        assert_eq!(signed(&public, &[("Authorization", &confused)], ""), Err(Rejection::Malformed));
    }

    fn verifier_of_rsa() -> Verifier {
        verifier(&token("jws-rs256", "form: spki", ""), &[("secret", RSA)]).expect("compiles")
    }

    #[test]
    fn a_detached_token_signs_the_message_and_is_looked_up_by_its_kid() {
        let text = "verify:\n  - { scheme: jws-rs512, signature: { at: header:S, detached: true }, message: \"{header:T}.{body}\", \
                    key: { form: jwks } }";
        let set = |kid: &str| format!(r#"{{"keys":[{{"kty":"RSA","kid":"{kid}","n":"{RSA_N}","e":"AQAB"}}]}}"#);
        let known = verifier(text, &[("secret", &set("k1"))]).expect("compiles");
        let time = ("T", "1760000000");
        assert_eq!(signed(&known, &[("S", DETACHED), time], BODY), Ok(()));
        assert_eq!(signed(&known, &[("S", DETACHED), time], "{}"), Err(Rejection::BadSignature));
        assert_eq!(signed(&known, &[("S", &DETACHED.replace("..", ".e30.")), time], BODY), Err(Rejection::Malformed));
        let other = verifier(text, &[("secret", &set("k2"))]).expect("compiles");
        assert_eq!(signed(&other, &[("S", DETACHED), time], BODY), Err(Rejection::BadSignature));
    }

    #[test]
    fn claims_bind_the_body_and_name_the_event() {
        let more = ", timestamp: { at: \"claim:iat\", unit: s, tolerance: 5m }, \
                    require: { claim:hash: \"{body|sha256|hex}\", claim:iss: [a, b], claim:exp: true }";
        let event = "\nevent: { id: \"{claim:jti}\", type: \"{json:/id}\" }";
        let text = token("jws-hs256", "form: text", more) + event;
        let provider = load(&text).expect("reads");
        assert!(provider.event.id_signed && provider.event.types_signed, "the hash ties the body to the token");
        let verifier = verifier(&text, &[("secret", "k")]).expect("compiles");
        // Made with Python: hashlib.sha256(b'{"id":"evt_1"}').hexdigest()
        let hash = "4e1d1b2a";
        let claims =
            |hash: &str, iss: &str, iat: i64, exp: &str| format!(r#"{{"hash":"{hash}","iss":"{iss}","iat":{iat},"jti":"j-1"{exp}}}"#);
        let real = hex::encode(<Sha256 as sha2::Digest>::digest(BODY));
        let with = |claims: &str| {
            let text = format!("Bearer {}", hs256(b"k", r#"{"alg":"HS256"}"#, claims));
            post(&verifier, &[("Authorization", &text)], BODY)
        };
        let exp = r#","exp":1760000060"#;
        let verified = with(&claims(&real, "b", 1_760_000_000, exp)).expect("holds");
        let identity = verifier.identify(&verified);
        assert_eq!((identity.id.as_deref(), identity.types.to_string()), (Some(&b"j-1"[..]), "evt_1".to_owned()));
        assert_eq!(with(&claims(hash, "b", 1_760_000_000, exp)).err(), Some(Rejection::Requirement));
        assert_eq!(with(&claims(&real, "c", 1_760_000_000, exp)).err(), Some(Rejection::Requirement));
        assert_eq!(with(&claims(&real, "b", 1_760_000_000, "")).err(), Some(Rejection::Requirement));
        assert_eq!(with(&claims(&real, "b", 1_759_999_699, exp)).err(), Some(Rejection::Stale));
    }

    #[test]
    fn tokens_and_passwords_are_compared_whole() {
        let token = verifier(
            "verify:\n  - { scheme: token, signature: { at: [header:T, query:t], strip: [\"Bearer \", \"\"] } }",
            &[("secret", "hush")],
        );
        let token = token.expect("compiles");
        assert_eq!(signed(&token, &[("T", "hush")], ""), Ok(()));
        assert_eq!(signed(&token, &[("T", "Bearer hush")], ""), Ok(()));
        for wrong in ["hus", "hushh", "HUSH", " ", "Basic hush"] {
            assert_eq!(signed(&token, &[("T", wrong)], ""), Err(Rejection::BadSignature), "{wrong}");
        }
        assert_eq!(signed(&token, &[], ""), Err(Rejection::MissingSignature));
        assert!(token.verify(request("POST", Some("a=1&t=hush"), &[], ""), NOW).is_ok());
        assert_eq!((token.verification(), token.credential_places().len()), ("token", 2));

        let basic = verifier("verify:\n  - { scheme: basic }", &[("secret", "u:p:q")]).expect("compiles");
        let login = |text: &str| signed(&basic, &[("Authorization", text)], "");
        assert_eq!((login("Basic dTpwOnE="), login("basic dTpwOnE=")), (Ok(()), Ok(())));
        assert_eq!((login("Basic dTpw"), login("Bearer dTpwOnE=")), (Err(Rejection::BadSignature), Err(Rejection::MissingSignature)));
        assert_eq!(login("Basic dTpwOnE"), Err(Rejection::Malformed));
        assert!(verifier("verify:\n  - { scheme: basic }", &[("secret", "u")]).expect_err("no colon").contains("user:password"));
    }

    #[test]
    fn a_hash_has_its_key_in_the_message() {
        let text = "verify:\n  - { scheme: hash-sha256, signature: { at: header:S, encoding: hex }, message: \"{key}{body}\" }";
        let verifier = verifier(text, &[("secret", "k"), ("secret", "l")]).expect("compiles");
        let made = |key: &str| hex::encode(<Sha256 as sha2::Digest>::digest(format!("{key}{BODY}")));
        assert_eq!(signed(&verifier, &[("S", &made("k"))], BODY), Ok(()));
        assert_eq!(signed(&verifier, &[("S", &made("l"))], BODY), Ok(()));
        assert_eq!(signed(&verifier, &[("S", &made("m"))], BODY), Err(Rejection::BadSignature));
        let keyless = load("verify:\n  - { scheme: hash-sha256, signature: { at: header:S, encoding: hex }, message: \"{body}\" }");
        assert!(keyless.expect_err("anyone can make it").contains("without `{key}`"));
    }

    fn code(key: &str, message: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any length");
        mac.update(message.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }

    /// An HMAC over the body with this signature rule.
    fn candidates(rule: &str, message: &str) -> Verifier {
        let text = format!("verify:\n  - {{ scheme: hmac-sha256, signature: {{ {rule}, encoding: hex }}, message: \"{message}\" }}");
        verifier(&text, &[("secret", "k")]).unwrap_or_else(|why| panic!("{why}"))
    }

    #[test]
    fn candidates_come_in_every_shape() {
        let good = code("k", &format!("7.{BODY}"));
        let columns = candidates("at: header:S, columns: [t, sig, sig], by: ','", "{sig:t}.{body}");
        let bad = code("x", "");
        assert_eq!(signed(&columns, &[("S", &format!("7,{good}"))], BODY), Ok(()));
        assert_eq!(signed(&columns, &[("S", &format!("7,{bad},{good}"))], BODY), Ok(()));
        assert_eq!(signed(&columns, &[("S", &format!("8,{good}"))], BODY), Err(Rejection::BadSignature));
        for broken in ["7".to_owned(), format!("7,{bad},{bad},{good}")] {
            assert_eq!(signed(&columns, &[("S", &broken)], BODY), Err(Rejection::Malformed), "{broken}");
        }
        let unpacked = candidates("at: header:S, unpack: base64-json, value: /s, where: { sig:/v: \"1\" }", "{sig:/t}.{body}");
        let packed = |json: String| base64::engine::general_purpose::STANDARD.encode(json);
        let ask = |json: String| signed(&unpacked, &[("S", &packed(json))], BODY);
        assert_eq!(ask(format!(r#"{{"v":1,"t":7,"s":"{good}"}}"#)), Ok(()));
        assert_eq!(ask(format!(r#"{{"v":2,"t":7,"s":"{good}"}}"#)), Err(Rejection::MissingSignature));
        assert_eq!(ask(format!(r#"{{"v":1,"t":7,"t":7,"s":"{good}"}}"#)), Err(Rejection::Malformed));
        assert_eq!(signed(&unpacked, &[("S", "not base64!")], BODY), Err(Rejection::Malformed));
    }

    #[test]
    fn a_family_of_headers_is_searched_whole_and_none_of_it_twice() {
        let family = candidates("at: header:X-Sig-*", "{body}");
        let (good, bad) = (code("k", BODY), code("x", BODY));
        assert_eq!(signed(&family, &[("X-Sig-1", &bad), ("x-sig-2", &good)], BODY), Ok(()));
        assert_eq!(signed(&family, &[("X-Sig-1", &bad)], BODY), Err(Rejection::BadSignature));
        assert_eq!(signed(&family, &[("X-Sig-1", &good), ("x-sig-1", &good)], BODY), Err(Rejection::DuplicateHeader));
        assert_eq!(signed(&family, &[("X-Sig", &good)], BODY), Err(Rejection::MissingSignature));
        let names: Vec<String> = (0..17).map(|n| format!("X-Sig-{n}")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (&**name, &*bad)).collect();
        assert_eq!(signed(&family, &many, BODY), Err(Rejection::Malformed));
    }

    #[test]
    fn a_check_for_each_element_wants_all_of_them_and_at_least_one() {
        let text = "verify:\n  - { scheme: hmac-sha256, each: json:/items, signature: { at: item:/s, encoding: hex }, \
                    message: \"{item:/id}\" }\n\
                    event: { id: \"{json:/items/*/id}\" }";
        let provider = load(text).expect("reads");
        assert!(provider.event.id_signed);
        let verifier = verifier(text, &[("secret", "k")]).expect("compiles");
        let item = |id: &str, key: &str| format!(r#"{{"id":"{id}","s":"{}"}}"#, code(key, id));
        let body = |items: &[String]| format!(r#"{{"items":[{}]}}"#, items.join(","));
        let (a, b, forged) = (item("a", "k"), item("b", "k"), item("c", "x"));
        let verified = post(&verifier, &[], &body(&[a.clone(), b])).expect("all are signed");
        assert_eq!(verifier.identify(&verified).id.as_deref(), Some(&b"a,b"[..]));
        assert_eq!(signed(&verifier, &[], &body(&[a.clone(), forged])), Err(Rejection::BadSignature));
        assert_eq!(signed(&verifier, &[], &body(&[a.clone(), "{\"id\":\"d\"}".into()])), Err(Rejection::MissingSignature));
        for none in ["{\"items\":[]}", "{}", "{\"items\":{}}", "{\"items\":1}", "not json"] {
            assert_eq!(signed(&verifier, &[], none), Err(Rejection::MissingSignature), "{none}");
        }
        // Whoever has one signed element must not hide others behind a second array of the same name.
        let twice = format!(r#"{{"items":[{a}],"items":[{{"id":"evil"}}]}}"#);
        assert_eq!(signed(&verifier, &[], &twice), Err(Rejection::MissingSignature));
    }

    #[test]
    fn the_request_picks_its_scheme_from_a_closed_map_only() {
        let text = "verify:\n  - { scheme: { by: header:V, \"1\": hmac-sha1, \"2\": hmac-sha256 }, \
                    signature: { at: header:S, encoding: hex }, message: \"{body}\" }";
        let verifier = verifier(text, &[("secret", "k")]).expect("compiles");
        let good = code("k", BODY);
        assert_eq!(signed(&verifier, &[("V", "2"), ("S", &good)], BODY), Ok(()));
        for version in ["1", "3", ""] {
            assert_eq!(signed(&verifier, &[("V", version), ("S", &good)], BODY), Err(Rejection::Malformed), "{version}");
        }
        assert_eq!(signed(&verifier, &[("S", &good)], BODY), Err(Rejection::Malformed));
        let mixed = text.replace("hmac-sha1,", "rsa-sha1,");
        assert!(load(&mixed).expect_err("two families").contains("they share their keys"));
    }

    #[test]
    fn a_later_check_without_its_credential_is_left_out_and_the_first_never() {
        let text = "credentials: { secret: { label: a }, token: { label: b, required: false }, app: { label: c, required: false } }\n\
                    verify:\n  - { scheme: hmac-sha256, signature: { at: header:S, encoding: hex }, message: \"{body}\", \
                    require: { header:A: \"{credential:app}\" } }\n  \
                    - { scheme: token, signature: { at: header:T }, key: { from: token } }";
        let good = code("k", BODY);
        let alone = verifier(text, &[("secret", "k")]).expect("compiles");
        assert_eq!(signed(&alone, &[("S", &good)], BODY), Ok(()));
        let both = verifier(text, &[("secret", "k"), ("token", "t")]).expect("compiles");
        assert_eq!(signed(&both, &[("S", &good)], BODY), Err(Rejection::MissingSignature));
        assert_eq!(signed(&both, &[("S", &good), ("T", "t")], BODY), Ok(()));
        let app = verifier(text, &[("secret", "k"), ("app", "1")]).expect("compiles");
        assert_eq!(signed(&app, &[("S", &good)], BODY), Err(Rejection::Requirement));
        assert_eq!(signed(&app, &[("S", &good), ("A", "1")], BODY), Ok(()));
        let first = "credentials: { secret: { label: a, required: false } }\nverify:\n  - { scheme: token, signature: { at: header:T } }";
        assert!(verifier(first, &[]).expect_err("nothing is verified").contains("nothing would be verified without"));
    }

    #[test]
    fn keys_are_derived_as_the_file_says() {
        let with = |derive: &str, key: &str| {
            let text = format!(
                "verify:\n  - {{ scheme: hmac-sha256, signature: {{ at: header:S, encoding: hex }}, message: \"{{body}}\", \
                 key: {{ derive: {derive} }} }}"
            );
            verifier(&text, &[("secret", key)]).expect("compiles")
        };
        // By Python's unicodedata: NFKD of U+212B (ANGSTROM SIGN) is "A" and U+030A.
        assert_eq!(signed(&with("nfkd", "\u{212b}\u{fb01}"), &[("S", &code("A\u{30a}fi", BODY))], BODY), Ok(()));
        let digest = <sha1::Sha1 as sha1::Digest>::digest(b"k");
        let mut mac = Hmac::<Sha256>::new_from_slice(&digest).expect("any length");
        mac.update(BODY.as_bytes());
        assert_eq!(signed(&with("sha1", "k"), &[("S", &hex::encode(mac.finalize().into_bytes()))], BODY), Ok(()));
    }

    const GREETING: &str = "credentials: { secret: { label: a }, word: { label: b } }\n\
        verify:\n  - { scheme: hmac-sha256, signature: { at: header:S, encoding: hex }, message: \"{body}\" }\n\
        handshakes:\n  - name: ask\n    when: { method: GET, query:c: true }\n    after: none\n    \
        guard: { query:w: \"{credential:word}\" }\n    refuse: 403\n    \
        reply: { text: \"{query:c}\", headers: { X-Echo: \"{query:c}\" } }\n  \
        - name: crc\n    when: { json:/type: check }\n    after: verify\n    compute: { of: \"{json:/v}\", by: hmac-sha256, as: hex }\n    \
        reply: { status: 201, json: { b: \"{json:/v}\", a: \"{computed}\", n: 1 } }\n";

    fn greet(query: &str) -> Option<Greeted> {
        let verifier = verifier(GREETING, &[("secret", "k"), ("word", "w")]).expect("compiles");
        let request = request("GET", Some(query), &[], "");
        assert_eq!(verifier.precheck(&request), if query.contains("c=") { Ok(()) } else { Err(Rejection::MissingSignature) });
        verifier.greet(&request, NOW)
    }

    #[test]
    fn an_unproved_handshake_is_answered_only_when_its_guard_holds() {
        let reply = greet("w=w&c=a%20b").expect("a handshake").reply.expect("answered");
        assert_eq!((reply.status, &*reply.content_type, reply.body.as_slice()), (200, "text/plain; charset=utf-8", &b"a b"[..]));
        assert_eq!(reply.headers, [("X-Echo".into(), "a b".to_owned())]);
        for refused in ["w=x&c=1", "c=1", "w=w&w=w&c=1", "w=w&c=a%0d%0ab", "w=w&c=%ff"] {
            assert_eq!(greet(refused).map(|greeted| greeted.reply), Some(Err(403)), "{refused}");
        }
        assert_eq!(greet("w=w"), None);
        assert_eq!(greet(&format!("w=w&c={}", "x".repeat(3000))).map(|greeted| greeted.reply), Some(Err(403)));
        assert!(greet(&format!("w=w&c={}", "x".repeat(2000))).is_some_and(|greeted| greeted.reply.is_ok()));
    }

    #[test]
    fn what_is_signed_for_anybody_is_never_taken_for_an_event() {
        let text = GREETING.replace("text: \"{query:c}\"", "text: \"{computed}\"").replace(", headers: { X-Echo: \"{query:c}\" }", "");
        let text = text.replace("refuse: 403\n", "refuse: 403\n    compute: { of: \"{query:c}\", by: hmac-sha256, as: hex }\n");
        let verifier = verifier(&text, &[("secret", "k"), ("word", "w")]).expect("compiles");
        let answered = |challenge: &str| {
            verifier.greet(&request("GET", Some(&format!("w=w&c={challenge}")), &[], ""), NOW).map(|greeted| greeted.reply)
        };
        // A forger has the body of an event signed: as it is, and in what a challenge may be.
        assert_eq!(answered("%7B%22a%22:1%7D"), Some(Err(403)));
        let reply = answered("token-1").expect("a handshake").expect("answered");
        assert_eq!(String::from_utf8(reply.body).expect("text"), code("k", "token-1"));
        assert_eq!(signed(&verifier, &[("S", &code("k", "token-1"))], "token-1"), Err(Rejection::Malformed));
        assert_eq!(signed(&verifier, &[("S", &code("k", BODY))], BODY), Ok(()));
    }

    #[test]
    fn a_proved_handshake_is_answered_with_the_secret_that_proved_it() {
        let verifier = verifier(GREETING, &[("secret", "k"), ("secret", "l"), ("word", "w")]).expect("compiles");
        let body = r#"{"type":"check","v":"q"}"#;
        let ask = |key: &str| {
            let verified = post(&verifier, &[("S", &code(key, body))], body).expect("signed");
            verifier.greet_verified(&verified).expect("a handshake").reply.expect("answered")
        };
        for key in ["k", "l"] {
            let reply = ask(key);
            let expected = format!(r#"{{"b":"q","a":"{}","n":1}}"#, code(key, "q"));
            assert_eq!(
                (reply.status, &*reply.content_type, String::from_utf8(reply.body).expect("text")),
                (201, "application/json", expected)
            );
        }
        assert_eq!(verifier.greet(&request("POST", None, &[], body), NOW), None, "unproved, it is nothing");
        let event = r#"{"type":"other"}"#;
        let verified = post(&verifier, &[("S", &code("k", event))], event).expect("signed");
        assert_eq!(verifier.greet_verified(&verified), None);
        let proof: Proof = verified.proof();
        assert!(proof.secret().is_some());
        assert_eq!((verifier.methods(), verifier.handshakes().collect::<Vec<_>>()), (&["GET".into()][..], vec!["ask", "crc"]));
    }

    #[test]
    fn what_is_wrong_with_a_handshake_is_said_at_its_place() {
        let cases = [
            ("after: none", "after: never", "t.yaml:8:12: `after` cannot be `never`; it is one of verify, none"),
            (
                "method: GET, query:c: true",
                "query:w: \"{credential:word}\"",
                "t.yaml:6:5: `when` tells a handshake from an event by the request itself",
            ),
            ("method: GET", "method: PUT", "t.yaml:6:5: a handshake is a GET, HEAD, OPTIONS or POST"),
            ("refuse: 403", "refuse: 410", "t.yaml:10:13: a refused handshake is answered 400 to 499, and not 406 or 410"),
            ("X-Echo", "Location", "t.yaml:11:44: an answer cannot have the header `Location`"),
            ("a: \"{computed}\", ", "", "t.yaml:12:5: `compute` and `{computed}` in the reply stand together"),
            ("text: \"{query:c}\"", "text: \"{query:c}\", type: text/html", "is `text/plain` or JSON"),
            ("text: \"{query:c}\"", "text: \"{item:/c}\"", "is not part of it"),
            (
                "after: none\n",
                "effect: show-secret\n    after: none\n",
                "`secret` is handed over in a handshake, so it is `required: false`",
            ),
            (
                "query:c: true }\n",
                "query:c: x }\n    effect: show-secret\n",
                "t.yaml:8:13: `show-secret` shows what `when` demands to be there",
            ),
            ("query:c: true }\n", "query:c: true, query:d: true }\n    effect: show-secret\n", "which is one value of the request"),
            ("after: verify\n", "effect: show-secret\n    after: verify\n", "`show-secret` shows what `when` demands to be there"),
            (
                "json:/type: check }\n    after: verify\n",
                "json:/t: true }\n    effect: show-secret\n    after: verify\n",
                "for `after: none`, without `compute`",
            ),
            ("after: none\n", "effect: sns-confirm\n    after: none\n", "`sns-confirm` is for `after: verify`, where a check signs"),
            ("after: none\n", "effect: sns-confirm\n    after: none\n", "`sns-confirm` needs `json:/TopicArn"),
        ];
        for (old, new, expected) in cases {
            assert!(GREETING.contains(old), "{old}");
            let found = load(&GREETING.replacen(old, new, 1)).map(|_| ()).err().unwrap_or_default();
            assert!(found.contains(expected), "{new}: {found}");
        }
        let told = GREETING.replacen("guard: { query:w: \"{credential:word}\" }", "guard: {}", 1).replacen(
            "text: \"{query:c}\"",
            "text: \"{credential:word}\"",
            1,
        );
        assert!(load(&told).expect_err("a secret for whoever asks").contains("a credential is not told to whoever asks"));
    }

    #[test]
    fn a_signed_text_that_is_good_once_is_the_events_identity() {
        let text = "verify:\n  - { scheme: hmac-sha256, signature: { at: header:S, encoding: hex }, message: \"{body}\" }\n\
                    event: { id: \"{header:I}\", once: message }";
        let verifier = verifier(text, &[("secret", "k")]).expect("compiles");
        let good = code("k", BODY);
        let identity = |id: &str| verifier.identify(&post(&verifier, &[("S", &good), ("I", id)], BODY).expect("signed"));
        assert_eq!((identity("1").signed, identity("1").id), (identity("2").signed, Some(b"1".to_vec())));
        assert_eq!(identity("1").signed, Some(<Sha256 as sha2::Digest>::digest(BODY).into()));
        let token = "verify:\n  - { scheme: token, signature: { at: header:T } }\nevent: { once: message }";
        assert!(load(token).expect_err("signs nothing").contains("a first check that signs one message"));
    }

    #[test]
    fn where_nothing_tells_a_repeat_what_has_no_id_is_new_each_time() {
        let check = "verify:\n  - { scheme: hmac-sha256, signature: { at: header:S, encoding: hex }, message: \"{body}\" }\n";
        let known = |event: &str, body: &str| {
            let verifier = verifier(&format!("{check}event: {event}"), &[("secret", "k")]).expect("compiles");
            let identity = verifier.identify(&post(&verifier, &[("S", &code("k", body))], body).expect("signed"));
            format!("{:?}", identity.known_by())
        };
        assert_eq!([known("{ repeats: none }", BODY), known("{ repeats: body }", BODY)], ["Nothing", "Body"]);
        let either = "{ repeats: none, id: \"{json:/id}\" }";
        assert_eq!([known(either, "{}"), known(either, "{\"id\":\"\"}")], ["Nothing", "Nothing"]);
        assert!(known(either, BODY).starts_with("Id("));
        let both = load(&format!("{check}event: {{ repeats: none, once: message }}"));
        assert!(both.expect_err("contradicts itself").contains("`once: message` says already what repeats are"));
    }

    #[test]
    fn an_id_of_some_elements_is_not_the_id_of_all() {
        let text = "verify:\n  - { scheme: hmac-sha256, signature: { at: header:S, encoding: hex }, message: \"{body}\" }\n\
                    event: { id: \"{json:/l/*/x}\", type: \"{json:/l/*/x}\" }";
        let verifier = verifier(text, &[("secret", "k")]).expect("compiles");
        let identity = |body: &str| verifier.identify(&post(&verifier, &[("S", &code("k", body))], body).expect("signed"));
        assert_eq!(identity(r#"{"l":[{"x":"a"},{"x":"b"}]}"#).id, Some(b"a,b".to_vec()));
        for (partial, types) in
            [(r#"{"l":[{"x":"a"},{}]}"#, "a"), (r#"{"l":[{"x":""},{"x":"a"}]}"#, "a"), (r#"{"l":[{"x":"a,b"}]}"#, "a,b")]
        {
            let partial = identity(partial);
            assert_eq!((partial.id.clone(), partial.types.to_string()), (None, types.to_owned()));
        }
    }

    #[test]
    fn the_hash_of_a_message_may_be_what_is_signed() {
        let check = |scheme: &str, digest: &str| {
            format!(
                "verify:\n  - {{ scheme: {scheme}, signature: {{ at: header:S, encoding: hex }}, message: \"{{body}}\", digest: {digest} }}"
            )
        };
        let twice = verifier(&check("hmac-sha256", "sha256"), &[("secret", "k")]).expect("compiles");
        let mut mac = Hmac::<Sha256>::new_from_slice(b"k").expect("any length");
        mac.update(&<Sha256 as sha2::Digest>::digest(BODY));
        let code_of_hash = hex::encode(mac.finalize().into_bytes());
        assert_eq!(signed(&twice, &[("S", &code_of_hash)], BODY), Ok(()));
        assert_eq!(signed(&twice, &[("S", &code("k", BODY))], BODY), Err(Rejection::BadSignature));
        let once = verifier(&check("hmac-sha256", "none"), &[("secret", "k")]).expect("compiles");
        assert_eq!(signed(&once, &[("S", &code_of_hash)], BODY), Err(Rejection::BadSignature));
        let token = load("verify:\n  - { scheme: token, signature: { at: header:T }, digest: sha256 }");
        assert!(token.expect_err("signs nothing").contains("`digest` is for codes and signatures over a `message`"));
    }

    #[test]
    fn a_request_without_a_body_has_none_for_conditions() {
        let text = "verify:\n  - { scheme: token, signature: { at: header:T }, require: { body: false } }";
        let verifier = verifier(text, &[("secret", "k")]).expect("compiles");
        assert_eq!(signed(&verifier, &[("T", "k")], ""), Ok(()));
        assert_eq!(signed(&verifier, &[("T", "k")], " "), Err(Rejection::Requirement));
    }

    #[test]
    fn what_is_only_held_against_a_signed_value_is_no_secret() {
        let provider = load(
            "credentials: { secret: { label: a }, account: { label: b }, salt: { label: c }, word: { label: d } }\n\
             verify:\n  - { scheme: hmac-sha256, signature: { at: header:S, encoding: hex }, message: \"{credential:salt}{body}\", \
             require: { json:/account: \"{credential:account}\" } }\n  \
             - { scheme: none, require: { header:W: \"{credential:word}\" } }",
        );
        let provider = provider.expect("reads");
        let secret = ["secret", "account", "salt", "word"].map(|name| provider.is_secret(name));
        assert_eq!(secret, [true, false, false, true]);
    }

    #[test]
    fn what_covers_a_field_of_a_form_covers_the_document_in_it() {
        let signed = |document: &str, message: &str| {
            let check =
                format!("verify:\n  - {{ scheme: hmac-sha256, signature: {{ at: header:S, encoding: hex }}, message: \"{message}\" }}");
            load(&format!("document: {document}\n{check}\nevent: {{ id: \"{{json:/id}}\" }}")).expect("reads").event.id_signed
        };
        assert!(signed("form:payload", "{form:payload}"));
        assert!(
            !signed("form:payload", "{form-sorted}")
                && !signed("form:payload", "{form:other}")
                && !signed("[form:payload, body]", "{form:payload}")
        );
    }

    #[test]
    fn the_document_may_stand_in_a_form_and_a_false_type_hides_none() {
        let text = "document: [form:payload, body]\nverify:\n  - { scheme: hmac-sha256, signature: { at: header:S, encoding: hex }, \
                    message: \"{body}\" }\nevent: { id: \"{json:/id}\" }";
        let verifier = verifier(text, &[("secret", "k")]).expect("compiles");
        let id = |kind: &str, body: &str| {
            let verified = post(&verifier, &[("S", &code("k", body)), ("Content-Type", kind)], body).expect("signed");
            verifier.identify(&verified).id
        };
        let form = "payload=%7B%22id%22%3A%22evt_1%22%7D";
        assert_eq!(id("application/x-www-form-urlencoded", form), Some(b"evt_1".to_vec()));
        assert_eq!(id("application/json", BODY), Some(b"evt_1".to_vec()));
        assert_eq!(id("application/json", form), Some(b"evt_1".to_vec()));
        assert_eq!(id("application/x-www-form-urlencoded", BODY), Some(b"evt_1".to_vec()));
    }

    #[test]
    fn nobody_makes_a_second_event_of_a_signed_one_by_another_type() {
        const TYPES: [&str; 4] = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"];
        let catalogue = provider::Catalogue::embedded();
        let mut held = 0;
        for (provider, vector) in catalogue
            .names()
            .filter_map(|slug| catalogue.find(slug))
            .flat_map(|provider| provider.vectors.iter().map(move |one| (provider, one)))
        {
            let (genuine, credentials, endpoint) = crate::verify::parsers::known_answer(vector).expect("a known answer");
            let verifier = Verifier::compile(provider, &credentials, endpoint.as_ref(), None).expect("it compiles");
            let at = genuine.received_at;
            let first = verifier.identify(&verifier.verify(genuine.clone(), at).expect("genuine"));
            for kind in TYPES {
                let mut headers = HeadersBuilder::new();
                for (name, value) in genuine.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-type")) {
                    assert!(headers.push(name, value));
                }
                assert!(headers.push("Content-Type", kind.as_bytes()));
                let again = RawRequest { headers: headers.build(), ..genuine.clone() };
                // Where the form itself is signed, another type is refused.
                if let Ok(verified) = verifier.verify(again, at).map(|verified| verifier.identify(&verified))
                    && verifier.verification() == "signed"
                {
                    assert_eq!(verified, first, "{} {}: as {kind}", provider.slug, vector.name);
                    held += 1;
                }
            }
        }
        assert!(held > 100, "{held} requests were tried");
    }

    #[test]
    fn a_file_is_like_another_but_for_what_it_writes_and_never_its_vectors() {
        let base = "provider: base\ntitle: Base\nverify:\n  - { scheme: token, signature: { at: header:T } }\nsetup: [one]\nvectors: []\n";
        let others = |slug: &str| match slug {
            "base" => Some((Arc::from("base.yaml"), base.to_owned())),
            "second" => Some((Arc::from("second.yaml"), "provider: second\nlike: base\n".to_owned())),
            _ => None,
        };
        let read = |text: &str| {
            let mut problems = Problems::new();
            let provider = provider::read(&Arc::from("t.yaml"), text, &others, &mut problems);
            provider.ok_or_else(|| problems.into_sorted().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        };
        let like = read("provider: t\ntitle: Mine\nlike: base\n").expect("reads");
        assert_eq!((&*like.title, &*like.slug, like.scheme(), like.setup.len()), ("Mine", "t", "token".to_owned(), 1));
        assert!(like.vectors.is_empty());
        assert!(read("provider: t\nlike: none\n").expect_err("unknown").contains("t.yaml:2:7: there is no provider `none`"));
        assert!(read("provider: t\nlike: second\n").expect_err("two levels").contains("one level is the most"));
    }
}
