//! `worker install DIRECTORY`: puts the worker where a container of another image can run it.
//!
//! On AWS, a job's image does not contain the worker. A container of the worker's image runs this first, in a volume that the job's
//! container mounts too (deploy/jobs/tasks.py).

use std::{
    env,
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::ExitCode,
};

use aws::CERTIFICATES;

/// The certificates of the worker's image (crates/worker/Dockerfile).
const TRUSTED: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Copies this program, as `worker`, and the certificates that it trusts into a directory. Any user may run it there. `temporary` is
/// opened to every user, like `/tmp`.
#[must_use]
pub fn install(directory: &Path, temporary: Option<&Path>) -> ExitCode {
    crate::init_logs();
    let installed = copy(directory).and_then(|()| match temporary {
        Some(temporary) => fs::set_permissions(temporary, Permissions::from_mode(0o1777))
            .map_err(|why| about("cannot open to every user", temporary, &why)),
        None => Ok(()),
    });
    match installed {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => crate::own_failure(&why),
    }
}

fn copy(directory: &Path) -> io::Result<()> {
    let (program, certificates) = (directory.join("worker"), directory.join(CERTIFICATES));
    let written = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
    fs::copy(env::current_exe()?, &program)
        .and_then(|_| written(&program, 0o755))
        .map_err(|why| about("cannot write", &program, &why))?;
    match fs::copy(TRUSTED, &certificates) {
        // Then the certificates of the job's image have to do.
        Err(why) if why.kind() == io::ErrorKind::NotFound && !Path::new(TRUSTED).exists() => Ok(()),
        copied => copied.and_then(|_| written(&certificates, 0o644)),
    }
    .map_err(|why| about("cannot write", &certificates, &why))
}

fn about(what: &str, path: &Path, why: &io::Error) -> io::Error {
    io::Error::new(why.kind(), format!("{what} {}: {why}", path.display()))
}
