//! The recovery kit: one page for paper that says where the backups are, which keys open them and
//! how a server comes back. It is asked for until somebody confirmed it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use jiff::Timestamp;
use mai_backup::encryption::Identity;
use mai_contract::job::Store;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::atomic_file::{read_json, write_json};
use super::{RecoveryError, ServerBackupRecord};
use crate::api::MaiInstance;
use crate::reconcile::job::destinations;

/// File in the state directory that says which kit was confirmed.
const FILE: &str = "recovery-kit.json";

/// Contents of a recovery kit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryKit {
    /// Places outside the state directory, each with whose backups are there.
    places: BTreeMap<Place, Vec<String>>,
    /// Clients with backups in the state directory alone.
    only_here: Vec<String>,
    /// Place of the backup of the server itself.
    server: Option<Place>,
    /// Environment variables that documents refer to.
    variables: Vec<String>,
}

/// A place of backups with one set of keys.
#[derive(Serialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    address: String,
    endpoint: Option<String>,
    recipients: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Confirmation {
    digest: String,
    confirmed_at: Timestamp,
}

impl RecoveryKit {
    /// Returns the kit of a server with these documents.
    pub fn new(instances: &[MaiInstance], server: Option<&ServerBackupRecord>) -> Self {
        let mut kit = Self::default();
        if let Some(server) = server {
            let place = Place {
                address: server.to.clone(),
                endpoint: server.endpoint.clone(),
                recipients: sorted(&server.recipients),
            };
            kit.places.entry(place.clone()).or_default().push("the server itself".to_owned());
            kit.server = Some(place);
        }
        for instance in instances {
            kit.add(instance);
        }
        kit.variables.sort();
        kit.variables.dedup();
        kit
    }

    fn add(&mut self, instance: &MaiInstance) {
        let metadata = &instance.metadata;
        let namespace = metadata.namespace.as_deref().unwrap_or("default");
        let name = format!("{namespace}/{}", metadata.name.as_deref().unwrap_or_default());
        let encryption = instance.spec.backup.as_ref().and_then(|backup| backup.encryption.as_ref());
        let recipients = sorted(encryption.map_or(&[], |encryption| &encryption.recipients));
        let mut is_elsewhere = false;
        for (destination, _) in destinations(instance) {
            let (address, endpoint) = match destination.store {
                Store::Volume => continue,
                Store::Directory(path) => (path.display().to_string(), None),
                Store::S3(s3) if s3.prefix.is_empty() => (format!("s3://{}", s3.bucket), s3.endpoint),
                Store::S3(s3) => (format!("s3://{}/{}", s3.bucket, s3.prefix), s3.endpoint),
            };
            is_elsewhere = true;
            let place = Place { address, endpoint, recipients: recipients.clone() };
            self.places.entry(place).or_default().push(name.clone());
        }
        if !is_elsewhere {
            self.only_here.push(name);
        }
        let references = crate::reconcile::references(instance, &crate::core::Platform::DOCKER);
        self.variables.extend(references.iter().filter_map(|reference| reference.variable().map(str::to_owned)));
    }

    /// Returns the clients whose backups are elsewhere, and not where that of the server is.
    fn apart(&self) -> Vec<&str> {
        let Some(server) = &self.server else { return Vec::new() };
        let (with_it, others): (Vec<_>, Vec<_>) =
            self.places.iter().partition(|(place, _)| place.address == server.address);
        let is_with_it = |name: &&str| with_it.iter().any(|(_, holds)| holds.iter().any(|other| other == name));
        let names: BTreeSet<&str> = others.into_iter().flat_map(|(_, holds)| holds).map(String::as_str).collect();
        names.into_iter().filter(|name| !is_with_it(name)).collect()
    }

    /// Returns whether no backup leaves the state directory, so that there is nothing to come back
    /// from.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Returns the places, with their keys, that `identity` does not open, as sentences.
    pub fn sealed(&self, identity: Option<&Identity>) -> Vec<String> {
        let is_sealed = |place: &&Place| {
            !place.recipients.is_empty() && !identity.is_some_and(|identity| identity.opens(&place.recipients))
        };
        self.places
            .keys()
            .filter(is_sealed)
            .map(|place| format!("{} is encrypted to {}", place.address, place.recipients.join(", ")))
            .collect()
    }

    /// Returns whether the kit of these places and keys was confirmed.
    pub fn is_confirmed(&self, state_dir: &Path) -> Result<bool, RecoveryError> {
        let confirmed: Option<Confirmation> = read_json(&state_dir.join(FILE))?;
        Ok(confirmed.is_some_and(|confirmed| confirmed.digest == self.digest()))
    }

    /// Records that the kit of these places and keys was confirmed.
    pub fn confirm(&self, state_dir: &Path) -> Result<(), RecoveryError> {
        let confirmation = Confirmation { digest: self.digest(), confirmed_at: Timestamp::now() };
        write_json(&state_dir.join(FILE), &confirmation)
    }

    /// Returns a text that differs where places or keys do. A further client in the same place needs
    /// no other page.
    fn digest(&self) -> String {
        let places: Vec<&Place> = self.places.keys().collect();
        hex::encode(Sha256::digest(serde_json::to_vec(&places).unwrap_or_default()))
    }

    /// Returns the page. `documents` is the directory of documents, `runtime` the runtime of the
    /// server as the command line names it.
    pub fn page(&self, documents: &Path, runtime: &str, at: Timestamp) -> String {
        let mut page = format!("RECOVERY KIT of mai for {}, {}\n", documents.display(), at.strftime("%Y-%m-%d"));
        self.write_places(&mut page);
        self.write_commands(&mut page, documents, runtime);
        self.write_limits(&mut page);
        page
    }

    fn write_places(&self, page: &mut String) {
        page.push_str("\n1. WHERE THE BACKUPS ARE, AND WHICH KEYS OPEN THEM\n");
        // Writing to a String never fails.
        for (place, holds) in &self.places {
            let service = place.endpoint.as_ref().map(|endpoint| format!(" at {endpoint}")).unwrap_or_default();
            let _ = writeln!(page, "\n   {}{service}\n     of {}", place.address, holds.join(", "));
            if place.recipients.is_empty() {
                page.push_str("     not encrypted: it holds no secret, and whoever reads it reads the chats\n");
                continue;
            }
            page.push_str("     encrypted; any one of the secret keys (AGE-SECRET-KEY-1…) of these opens it:\n");
            for recipient in &place.recipients {
                let _ = writeln!(page, "     {recipient}");
            }
        }
        page.push_str("\n   The file with the secret key is kept here (write it down): ______________________\n");
        if self.places.keys().any(|place| place.address.starts_with("s3://")) {
            page.push_str("   The keys of the bucket are kept here (write it down):      ______________________\n");
        }
    }

    fn write_commands(&self, page: &mut String, documents: &Path, runtime: &str) {
        page.push_str("\n2. HOW EVERYTHING COMES BACK, on a machine with `mai` and nothing else\n\n");
        let from: Vec<&Place> = match &self.server {
            Some(server) => vec![server],
            None => self.places.keys().collect(),
        };
        for place in from {
            let mut command = format!("mai recover {} --from {}", documents.display(), place.address);
            if place.address.starts_with("s3://") {
                let endpoint = place.endpoint.as_deref().map(|url| format!("endpoint: {url}, ")).unwrap_or_default();
                let _ = writeln!(
                    page,
                    "   s3.yaml, mode 0600: {{{endpoint}accessKeyId: …, secretAccessKey: …}} (and region, if there is one)"
                );
                command.push_str(" --s3 s3.yaml");
            }
            if !place.recipients.is_empty() {
                command.push_str(" --identity KEY-FILE");
            }
            let _ = writeln!(page, "   {command} --runtime {runtime}");
        }
        let _ = writeln!(page, "   mai compose {} --runtime {runtime}", documents.display());
        let apart = self.apart();
        if !apart.is_empty() {
            let _ = writeln!(
                page,
                "   With backups in other places alone: {}.\n   \
                 Their documents are put aside in FILE.not-recovered: add restoreFrom: {{destination: NAME}} to each\n   \
                 spec, NAME being the destination that has its backups, and rename the file to FILE.yaml",
                apart.join(", ")
            );
        }
        page.push_str(
            "   Then point the names of the clients (DNS) to the new machine.\n   \
             Without mai, client by client: age -d -i KEY-FILE ID.tar.gz.age | tar xz; see docs/restore-by-hand.md\n",
        );
    }

    fn write_limits(&self, page: &mut String) {
        page.push_str("\n3. WHAT DOES NOT COME BACK\n\n");
        page.push_str("   - what was written since the last backup of a client\n");
        if self.places.keys().any(|place| !place.recipients.is_empty()) {
            page.push_str("   - anything that is encrypted, if no secret key of it is left\n");
        }
        if !self.only_here.is_empty() {
            let _ = writeln!(page, "   - clients without a backup elsewhere: {}", self.only_here.join(", "));
        }
        match &self.server {
            Some(server) if server.recipients.is_empty() => {
                page.push_str("   - Secrets of the directory: the backup of the server is not encrypted\n");
            }
            Some(_) => {}
            None => page.push_str(
                "   - Secrets of destinations, and the documents as they were written: the server itself is not\n     \
                 backed up (mai compose --recovery-to)\n",
            ),
        }
        if !self.variables.is_empty() {
            let _ = writeln!(page, "   - environment variables of mai: {}", self.variables.join(", "));
        }
        page.push_str("   - the reverse proxy, its certificates, and everything else outside of mai\n");
    }
}

fn sorted(recipients: &[String]) -> Vec<String> {
    let mut recipients = recipients.to_vec();
    recipients.sort();
    recipients
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const KEY: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

    fn instance(name: &str, backup: Value) -> MaiInstance {
        let document = json!({
            "apiVersion": "mai.dev/v1alpha1", "kind": "MaiInstance", "metadata": {"name": name, "namespace": "default"},
            "spec": {"displayName": name, "openRouter": {"apiKeySecretRef": {"name": "env:UPSTREAM"}}, "backup": backup},
        });
        serde_json::from_value(crate::api::check(&document, None, None).unwrap()).unwrap()
    }

    fn bucket(recipients: &[&str]) -> Value {
        let key = json!({"name": "s3", "key": "k"});
        json!({
            "destinations": [{"name": "a", "s3": {"bucket": "copies", "prefix": "p", "endpoint": "https://s3.example.com",
                "accessKeyIdRef": key, "secretAccessKeyRef": key}}],
            "encryption": (!recipients.is_empty()).then(|| json!({"recipients": recipients})),
        })
    }

    fn server(recipients: &[&str]) -> ServerBackupRecord {
        ServerBackupRecord {
            to: "s3://copies/p".to_owned(),
            endpoint: Some("https://s3.example.com".to_owned()),
            recipients: recipients.iter().map(|key| (*key).to_owned()).collect(),
            ..ServerBackupRecord::default()
        }
    }

    #[test]
    fn page_names_places_keys_commands_and_limits() {
        let instances = [instance("alpha", bucket(&[KEY])), instance("beta", json!({}))];
        let kit = RecoveryKit::new(&instances, Some(&server(&[KEY])));
        let page = kit.page(Path::new("/srv/clients"), "docker", Timestamp::UNIX_EPOCH);
        for words in [
            "s3://copies/p at https://s3.example.com",
            "of the server itself, default/alpha",
            KEY,
            "mai recover /srv/clients --from s3://copies/p --s3 s3.yaml --identity KEY-FILE --runtime docker",
            "mai compose /srv/clients --runtime docker",
            "clients without a backup elsewhere: default/beta",
            "environment variables of mai: UPSTREAM",
            "restore-by-hand.md",
        ] {
            assert!(page.contains(words), "{words} is not in\n{page}");
        }
        assert!(!page.contains("in other places alone"), "{page}");
        let apart = instance("gamma", json!({"destinations": [{"name": "nas", "local": {"path": "/nas"}}]}));
        let page = RecoveryKit::new(&[instance("alpha", bucket(&[KEY])), apart], Some(&server(&[KEY]))).page(
            Path::new("/srv/clients"),
            "docker",
            Timestamp::UNIX_EPOCH,
        );
        assert!(page.contains("in other places alone: default/gamma"), "{page}");
        assert!(page.lines().count() < 45 && !page.contains("AGE-SECRET-KEY-1Q"), "{page}");
        assert!(RecoveryKit::new(&[instance("beta", json!({}))], None).is_empty());
    }

    #[test]
    fn confirmation_holds_for_the_same_places_and_keys() {
        let directory = tempfile::tempdir().unwrap();
        let of = |names: &[&str], recipients: &[&str]| {
            let instances: Vec<_> = names.iter().map(|name| instance(name, bucket(recipients))).collect();
            RecoveryKit::new(&instances, Some(&server(&[KEY])))
        };
        let kit = of(&["alpha"], &[KEY]);
        assert!(!kit.is_confirmed(directory.path()).unwrap());
        kit.confirm(directory.path()).unwrap();
        assert!(kit.is_confirmed(directory.path()).unwrap());
        assert!(of(&["alpha", "beta"], &[KEY]).is_confirmed(directory.path()).unwrap());
        assert!(!of(&["alpha"], &[]).is_confirmed(directory.path()).unwrap());
        assert_eq!(kit.sealed(None), [format!("s3://copies/p is encrypted to {KEY}")]);
    }
}
