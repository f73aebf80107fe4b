//! Jobs as containers next to those of the servers. A job outlives the reconciler; its name is a
//! label of its container, and its end is in the state and the log of it.

use std::collections::BTreeSet;
use std::path::Path;

use bollard::models::{ContainerStateStatusEnum, ContainerSummary};
use bollard::query_parameters::{CreateContainerOptions, CreateContainerOptionsBuilder, StartContainerOptions};
use jiff::Timestamp;
use mai_contract::files::{BACKUPS, DATA};
use mai_contract::job::{Message, Order, Outcome};

use super::containers::{self, ContainerRef};
use super::engine::Engine;
use super::error::{EngineError, classify, failed, is_missing, message};
use super::job_container::{self, JobContainer};
use super::job_end::{END_LINES, PROGRESS_LINES, cause, progress, read_end};
use super::job_user::JobUser;
use super::location::Location;
use super::names::{Names, SHARED_NETWORK};
use super::{image, inspect, owner};
use crate::api::RestoreStatus;
use crate::core::{InstanceId, Job, JobState, ObservedJob, ObservedJobs, Pull, RestoreRequest};
use crate::runtime::job_files::{JobFiles, Reader, last_message};
use crate::runtime::{JobRequestFile, KeyRotationFile, RestoreRequestFile, RuntimeError, log_tail, maintenance};

impl Engine {
    /// Observes the job and the request of an instance. `all` are the containers of the engine.
    pub(super) async fn observe_jobs(
        &self,
        id: &InstanceId,
        names: &Names,
        all: &[ContainerSummary],
    ) -> Result<ObservedJobs, RuntimeError> {
        let home = self.home(names);
        let unreadable = |error| {
            tracing::warn!(instance = %id, "the requests in {} cannot be read: {error}", home.display());
        };
        let request = JobRequestFile::new(&home).open_request(id).map_err(unreadable).unwrap_or_default();
        let restore_request = RestoreRequestFile::new(&home).open_request(id).map_err(unreadable).unwrap_or_default();
        let key_rotation = KeyRotationFile::new(&home).newest(id).map_err(unreadable).unwrap_or_default();
        let current = match JobContainer::find(id, all) {
            Some(job) => {
                self.state(id, &JobFiles::new(&home), &job).await?.map(|state| ObservedJob { name: job.job, state })
            }
            None => None,
        };
        Ok(ObservedJobs { current, request, restore_request, key_rotation })
    }

    /// Returns the state of a job; `None` if its container was removed meanwhile.
    async fn state(
        &self,
        id: &InstanceId,
        files: &JobFiles,
        job: &JobContainer,
    ) -> Result<Option<JobState>, RuntimeError> {
        // Engines announce the start and the end of a container before their list of containers shows it.
        let Some(container) = self.inspect(id, &job.reference).await? else { return Ok(None) };
        let state = container.state.clone().unwrap_or_default();
        if state.status == Some(ContainerStateStatusEnum::CREATED) {
            let cause = "it was created and not started, because mai was interrupted";
            return Ok(Some(JobState::Lost(cause.to_owned())));
        }
        if state.running == Some(true) {
            let end = read_end(&self.docker, &job.reference.id, PROGRESS_LINES).await;
            let progress = end.ok().and_then(|end| progress(&end.output));
            return Ok(Some(JobState::Running { progress }));
        }
        let end = match read_end(&self.docker, &job.reference.id, END_LINES).await {
            Ok(end) => end,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(failed("reading of the log of a job", id)(error)),
        };
        if let Some(Message::Outcome(outcome)) = last_message(&end.output) {
            return Ok(Some(JobState::Ended(outcome)));
        }
        // A log is shown only without the secrets of the job.
        let is_of_job = files.record().is_ok_and(|record| record.is_some_and(|record| record.name == job.job));
        let secrets = files.secret_values().ok().filter(|_| is_of_job);
        let tail = secrets.map(|secrets| log_tail::printable_tail(&end.errors, &secrets));
        Ok(Some(JobState::Lost(cause(&container, &tail.unwrap_or_default()))))
    }

    /// Starts a job, as [`crate::runtime::Apply::start_job`].
    pub(super) async fn start_job(&self, id: &InstanceId, job: &Job) -> Result<(), RuntimeError> {
        let names = Names::new(id)?;
        let home = self.home(&names);
        refuse_during_maintenance(id, &home)?;
        let all = self.all_containers(id).await?;
        if let Some(existing) = JobContainer::find(id, &all) {
            if existing.was_started && existing.job == job.name {
                return Ok(());
            }
            if existing.was_started {
                return Err(refused(id, format!("job {} of it has not been removed yet", existing.job)));
            }
            self.remove(id, &names, &existing.reference).await?;
        } else if all.iter().any(|container| containers::name(container) == Some(names.job.as_str())) {
            self.remove_left_over(id, &names, &all).await?;
        }
        self.get_image(id, job).await?;
        self.prepare_places(id, &names, job).await?;
        let files = JobFiles::new(&home);
        let started = self.create_and_start(id, &names, &self.without_missing_directories(job), &files).await;
        if started.is_err() {
            self.discard(id, &names, &files).await;
        }
        self.cache.forget();
        started
    }

    /// Removes the job of a former instance of the name. A container of somebody else is left alone.
    async fn remove_left_over(
        &self,
        id: &InstanceId,
        names: &Names,
        all: &[ContainerSummary],
    ) -> Result<(), RuntimeError> {
        let left_over = JobContainer::named(&names.job, all)
            .filter(|job| job.owner.is_namesake(id) && self.states.own(&job.owner, Some(&job.state)));
        let Some(left_over) = left_over else { return Err(name_taken(id, names)) };
        self.end(id, names, &left_over).await
    }

    async fn get_image(&self, id: &InstanceId, job: &Job) -> Result<(), RuntimeError> {
        let Some(reference) = &job.image else {
            return Err(RuntimeError::Unsupported(format!(
                "no image makes and restores backups of {id}; start mai with --helper-image IMAGE, where IMAGE is that of a mai server"
            )));
        };
        let of_server = matches!(&job.order, Order::Backup(order) if order.image.as_ref() == Some(reference));
        let unavailable = |message: String| match of_server {
            true => RuntimeError::ImageUnavailable { instance: id.to_string(), image: reference.clone(), message },
            false => RuntimeError::Unsupported(format!(
                "image {reference}, which makes and restores backups of {id}, could not be pulled: {message}; build or pull it on this server, or correct --helper-image"
            )),
        };
        let found = self.cache.image(&self.docker, reference).await;
        if found.map_err(failed("inspection of the image of a job", id))?.is_some() {
            return Ok(());
        }
        let pull = self.pull_settings(id);
        if pull.policy == Pull::Never {
            return Err(unavailable("the engine does not have it and imagePullPolicy is Never".to_owned()));
        }
        let pulled = image::pull_now(&self.docker, reference, &pull.registries).await;
        self.cache.forget_image(reference).await;
        pulled.map_err(|error| unavailable(message(&error)))
    }

    /// Makes sure that there is data, or a place for it if the job makes it, and that backups have a
    /// place.
    async fn prepare_places(&self, id: &InstanceId, names: &Names, job: &Job) -> Result<(), RuntimeError> {
        let volumes = self.volumes(id, names);
        let data = &job.storage.data;
        if job.order.makes_data() {
            volumes.ensure(data.path.as_deref(), data.volume.as_deref(), &names.data).await?;
        } else if !job.order.is_drill() && volumes.place(data, &names.data).await?.is_none() {
            let place = match (&data.path, &data.volume) {
                (Some(path), _) => path.display().to_string(),
                (None, volume) => format!("volume {}", volume.as_ref().unwrap_or(&names.data)),
            };
            return Err(RuntimeError::NoData { instance: id.to_string(), place });
        }
        let backups = &job.storage.backups;
        volumes.ensure(backups.path.as_deref(), backups.volume.as_deref(), &names.backups).await?;
        if job_container::needs_network(&job.order) {
            let shared = BTreeSet::from([SHARED_NETWORK.to_owned()]);
            self.networks.ensure(&self.docker, id, &shared).await?;
        }
        Ok(())
    }

    /// Returns the job without directories that are missing on this machine, such as a share that is
    /// not mounted. The engine would refuse the container; so only their destinations fail.
    fn without_missing_directories(&self, job: &Job) -> Job {
        let mut job = job.clone();
        job.directories.retain(|path| self.location != Location::Host || path.is_dir());
        job
    }

    async fn create_and_start(
        &self,
        id: &InstanceId,
        names: &Names,
        job: &Job,
        files: &JobFiles,
    ) -> Result<(), RuntimeError> {
        let known = self.known_user(id, names, job).await?;
        let mut user = known.unwrap_or(JobUser::OURS);
        let mut created = self.create_job(id, names, job, files, user).await?;
        if known.is_none()
            && let Some(owner) = self.owner_of_data(id, &created.id, &job.order).await?.filter(|owner| *owner != user)
        {
            self.remove(id, names, &created).await?;
            user = owner;
            created = self.create_job(id, names, job, files, user).await?;
        }
        self.give_volumes(id, names, job, &created, user).await?;
        let _permit = self.starts.acquire().await;
        // A pull of the image may have taken minutes.
        refuse_during_maintenance(id, &self.home(names))?;
        let started = self.docker.start_container(&created.id, None::<StartContainerOptions>).await;
        started.map_err(failed("start of a job", id))
    }

    async fn create_job(
        &self,
        id: &InstanceId,
        names: &Names,
        job: &Job,
        files: &JobFiles,
        user: JobUser,
    ) -> Result<ContainerRef, RuntimeError> {
        let reader = Reader::Container { user: (user.uid, user.gid), mapped: self.users_are_mapped };
        files.write(id, job, reader).map_err(|source| RuntimeError::NotWritable {
            instance: id.to_string(),
            path: files.directory.display().to_string(),
            source,
        })?;
        let body = job_container::container(id, &self.states.own, job, names, user, &files.directory);
        let options: CreateContainerOptions = CreateContainerOptionsBuilder::new().name(&names.job).build();
        let _permit = self.creations.acquire().await;
        let created =
            self.docker.create_container(Some(options), body).await.map_err(|error| match classify(&error) {
                EngineError::Conflict => name_taken(id, names),
                EngineError::DirectoryMissing => refused(id, no_directory(&message(&error))),
                _ => failed("creation of the container of a job", id)(error),
            })?;
        self.cache.forget();
        Ok(ContainerRef { id: created.id, name: names.job.clone(), is_running: false, awaits_restart: false })
    }

    /// Makes the volumes of the staging directory and the backups writable for the job, as a start
    /// does for a server, and that of the data if the job makes it; a drill only reads backups. What
    /// a document names for a server of its own user is left as it is.
    async fn give_volumes(
        &self,
        id: &InstanceId,
        names: &Names,
        job: &Job,
        created: &ContainerRef,
        user: JobUser,
    ) -> Result<(), RuntimeError> {
        if user.uid == 0 {
            return Ok(());
        }
        let Some(container) = self.inspect(id, created).await? else { return Ok(()) };
        let backups = container.mounts.iter().flatten().find(|mount| mount.destination.as_deref() == Some(BACKUPS));
        let is_own = backups.is_some_and(|mount| mount.name.as_ref() == Some(&names.backups));
        let order = &job.order;
        let makes_data = order.makes_data() && job.storage.confined && user == JobUser::OURS;
        let mut paths = vec![job_container::STAGING];
        paths.extend((!order.is_drill() && (user == JobUser::OURS || is_own)).then_some(BACKUPS));
        paths.extend(makes_data.then_some(DATA));
        let user = (user.uid, user.gid);
        owner::give_to(&self.docker, id, &container, user, &paths, self.owns_engine_files).await
    }

    /// Removes what a start that failed has made. What cannot be removed is found again.
    async fn discard(&self, id: &InstanceId, names: &Names, files: &JobFiles) {
        let removed = async {
            let all = self.all_containers(id).await?;
            match JobContainer::find(id, &all).filter(|job| !job.was_started) {
                Some(job) => self.remove(id, names, &job.reference).await,
                None => Ok(()),
            }
        };
        if let Err(error) = removed.await {
            tracing::warn!(instance = %id, "the container of a job that could not be started is left: {error}");
            return;
        }
        if let Err(error) = files.remove() {
            tracing::warn!(instance = %id, "{} cannot be removed: {error}", files.directory.display());
        }
    }

    /// Answers the request of this name, ends the job of this name and removes all of it.
    pub(super) async fn remove_job(&self, id: &InstanceId, name: &str, outcome: &Outcome) -> Result<(), RuntimeError> {
        let names = Names::new(id)?;
        let home = self.home(&names);
        // First: a job that is removed and still requested would be started again.
        JobRequestFile::new(&home).answer(name, outcome).map_err(not_removed(id))?;
        let all = self.all_containers(id).await?;
        if let Some(job) = JobContainer::find(id, &all).filter(|job| job.job == name) {
            self.end(id, &names, &job).await?;
        }
        let files = JobFiles::new(&home);
        match files.record().map_err(not_removed(id))? {
            Some(record) if record.name != name => Ok(()),
            _ => files.remove().map_err(not_removed(id)),
        }
    }

    /// Answers the request for a restore, if there is one.
    pub(super) fn answer_restore(&self, id: &InstanceId, end: &RestoreStatus) -> Result<(), RuntimeError> {
        let file = RestoreRequestFile::new(&self.home(&Names::new(id)?));
        let action = "answer to a request";
        file.answer(&end.id, end).map_err(|source| RuntimeError::Io { action, instance: id.to_string(), source })
    }

    /// Ends and removes whatever job an instance has, and answers its requests.
    pub(super) async fn remove_any_job(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        let names = Names::new(id)?;
        let home = self.home(&names);
        let gone = |_| Outcome::Failed { message: format!("{id} was taken down before its job had ended") };
        JobRequestFile::new(&home).answer_any(gone).map_err(not_removed(id))?;
        let gone = |request: RestoreRequest| {
            request.refused(format!("{id} was taken down before its data was restored"), Timestamp::now())
        };
        RestoreRequestFile::new(&home).answer_any(gone).map_err(not_removed(id))?;
        let all = self.all_containers(id).await?;
        if let Some(job) = JobContainer::find(id, &all) {
            self.end(id, &names, &job).await?;
        }
        JobFiles::new(&home).remove().map_err(not_removed(id))
    }

    /// Stops the job of an instance. Returns false when none runs.
    pub(super) async fn stop_job(&self, id: &InstanceId) -> Result<bool, RuntimeError> {
        let all = self.all_containers(id).await?;
        let Some(job) = JobContainer::find(id, &all).filter(|job| job.reference.is_running) else { return Ok(false) };
        self.stop(id, &job.reference).await?;
        self.cache.forget();
        Ok(true)
    }

    /// Stops a job and removes its files, and last the container that they are found by.
    async fn end(&self, id: &InstanceId, names: &Names, job: &JobContainer) -> Result<(), RuntimeError> {
        if job.reference.is_running {
            self.stop(id, &job.reference).await?;
        }
        JobFiles::new(&self.home(names)).remove().map_err(not_removed(id))?;
        let removed = self.remove(id, names, &job.reference).await;
        self.cache.forget();
        removed
    }

    /// Removes the files of a job that has no container, as an interrupted start or removal leaves
    /// them. Only for the program that starts jobs, between two of its steps.
    pub(super) fn remove_left_files(&self, id: &InstanceId) {
        let Ok(names) = Names::new(id) else { return };
        let files = JobFiles::new(&self.home(&names));
        if files.directory.exists()
            && let Err(error) = files.remove()
        {
            tracing::warn!(instance = %id, "{} cannot be removed: {error}", files.directory.display());
        }
    }

    /// Returns every container of the engine as it is now.
    async fn all_containers(&self, id: &InstanceId) -> Result<Vec<ContainerSummary>, RuntimeError> {
        inspect::list_containers(&self.docker).await.map_err(failed("list of the containers", id))
    }
}

/// Fails while a command of an administrator works on the data of an instance.
fn refuse_during_maintenance(id: &InstanceId, home: &Path) -> Result<(), RuntimeError> {
    match maintenance::holder(home) {
        Some(holder) => Err(refused(id, format!("{holder} works on its data"))),
        None => Ok(()),
    }
}

fn refused(id: &InstanceId, message: String) -> RuntimeError {
    RuntimeError::Refused { action: "start of a job", instance: id.to_string(), message, source: None }
}

fn name_taken(id: &InstanceId, names: &Names) -> RuntimeError {
    RuntimeError::NameTaken { instance: id.to_string(), what: format!("container {}", names.job) }
}

fn no_directory(cause: &str) -> String {
    format!("{cause}; create or mount the directory on the engine's machine, or correct spec.backup.destinations")
}

fn not_removed(id: &InstanceId) -> impl Fn(std::io::Error) -> RuntimeError {
    move |source| RuntimeError::Io { action: "removal of a job", instance: id.to_string(), source }
}
