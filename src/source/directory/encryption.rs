//! Recognises what was encrypted by tools that people keep Secrets in Git with, and names the
//! command that decrypts it. Pure.

use serde_json::Value;

/// A tool that encrypts files or values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Encryption {
    tool: &'static str,
    remedy: &'static str,
}

const SOPS: Encryption = Encryption { tool: "SOPS", remedy: "`sops -d FILE`" };
const EYAML: Encryption = Encryption { tool: "hiera-eyaml", remedy: "`eyaml decrypt -e FILE`" };
const AGE: Encryption = Encryption { tool: "age", remedy: "`age -d -i KEYFILE FILE`" };
const PGP: Encryption = Encryption { tool: "OpenPGP", remedy: "`gpg -d FILE`" };
const GIT_CRYPT: Encryption = Encryption { tool: "git-crypt", remedy: "`git-crypt unlock` in its repository" };
const ANSIBLE: Encryption = Encryption { tool: "Ansible Vault", remedy: "`ansible-vault decrypt FILE`" };
const OPENSSL: Encryption = Encryption { tool: "OpenSSL or transcrypt", remedy: "the tool that encrypted it" };
const SEALED: Encryption = Encryption {
    tool: "Sealed Secrets, which only their controller in a cluster opens",
    remedy: "`kubeseal --recovery-unseal`, or write the Secret itself",
};

/// First bytes of what a tool writes.
const MARKS: [(&[u8], Encryption); 9] = [
    (b"\0GITCRYPT", GIT_CRYPT),
    (b"age-encryption.org/v", AGE),
    (b"-----BEGIN AGE ENCRYPTED FILE-----", AGE),
    (b"-----BEGIN PGP MESSAGE-----", PGP),
    (b"$ANSIBLE_VAULT;", ANSIBLE),
    (b"Salted__", OPENSSL),
    (b"U2FsdGVkX1", OPENSSL),
    (b"ENC[PKCS7,", EYAML),
    (b"ENC[AES256_GCM,", SOPS),
];

impl Encryption {
    /// Returns the sentence about what is encrypted by it, without its subject.
    pub(super) fn message(self) -> String {
        format!("is still encrypted by {}, so it is not used; decrypt it first: {}", self.tool, self.remedy)
    }

    /// Recognises the content of a file, or one value.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes).trim_ascii_start();
        MARKS.iter().find(|(mark, _)| bytes.starts_with(mark)).map(|(_, encryption)| *encryption)
    }

    /// Recognises a document, of whatever kind, by the metadata that SOPS adds to it, or by a value
    /// where all documents have plain text.
    pub(super) fn of_document(document: &Value) -> Option<Self> {
        if document["sops"].is_object() {
            return Some(SOPS);
        }
        ["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"]
            .iter()
            .filter_map(|pointer| document.pointer(pointer)?.as_str())
            .find_map(|text| Self::of_bytes(text.as_bytes()))
    }

    /// Recognises the kinds that a controller of a cluster turns into a Secret, and returns the names
    /// of those Secrets.
    pub(super) fn of_kind(document: &Value) -> Option<(Self, Vec<String>)> {
        let group = document["apiVersion"].as_str()?.split('/').next()?;
        let name = |value: &Value| value["metadata"]["name"].as_str().map(str::to_owned);
        match (group, document["kind"].as_str()?) {
            ("bitnami.com", "SealedSecret") => Some((SEALED, name(document).into_iter().collect())),
            ("isindir.github.com", "SopsSecret") => {
                let templates = document["spec"]["secretTemplates"].as_array().into_iter().flatten();
                Some((SOPS, templates.filter_map(|template| Some(template["name"].as_str()?.to_owned())).collect()))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn encrypted_values_are_told_from_plain_ones() {
        for (value, encryption) in [
            ("ENC[AES256_GCM,data:p1xY0w==,iv:AAAA,tag:BBBB,type:str]", Some(SOPS)),
            ("ENC[PKCS7,MIIB]", Some(EYAML)),
            ("\u{feff}-----BEGIN AGE ENCRYPTED FILE-----\nYWdl", Some(AGE)),
            ("\n-----BEGIN PGP MESSAGE-----\n", Some(PGP)),
            ("$ANSIBLE_VAULT;1.1;AES256\n3162", Some(ANSIBLE)),
            ("U2FsdGVkX18xMjM0", Some(OPENSSL)),
            ("\0GITCRYPT\0\u{1}", Some(GIT_CRYPT)),
            ("-----BEGIN PRIVATE KEY-----", None),
            ("AGE-SECRET-KEY-1QQQ", None),
            ("ENC-rypted", None),
            ("", None),
        ] {
            assert_eq!(Encryption::of_bytes(value.as_bytes()), encryption, "{value:?}");
        }
    }

    #[test]
    fn encrypted_documents_are_recognised_by_their_kind() {
        assert_eq!(Encryption::of_document(&json!({"data": "x", "sops": {"mac": "y"}})), Some(SOPS));
        assert_eq!(Encryption::of_document(&json!({"kind": "ENC[AES256_GCM,data:x]"})), Some(SOPS));
        assert_eq!(Encryption::of_document(&json!({"kind": "Secret", "metadata": {"name": "sops"}})), None);
        let sealed = json!({"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": {"name": "s"}});
        assert_eq!(Encryption::of_kind(&sealed), Some((SEALED, vec!["s".to_owned()])));
        let other = json!({"apiVersion": "example.com/v1", "kind": "SealedSecret", "metadata": {"name": "s"}});
        assert_eq!(Encryption::of_kind(&other), None);
    }
}
