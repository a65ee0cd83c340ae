//! `worker install`: the real binary, run from where it put itself.

#![expect(clippy::unwrap_used, reason = "also the helpers of tests may stop at the first thing that is wrong")]

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
};

fn install(arguments: &[&Path]) -> Output {
    let mut worker = Command::new(env!("CARGO_BIN_EXE_worker"));
    worker.env_clear().arg("install").args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_installed_worker_runs_a_command_and_any_user_may_run_it() {
    let place = tempfile::tempdir().unwrap();
    let done = install(&[place.path()]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!((done.stdout, done.stderr), (vec![], vec![]));
    let worker = place.path().join("worker");
    assert_eq!((mode(&worker), mode(&place.path().join("ca-certificates.crt"))), (0o755, 0o644));

    // Another program may be called install, and comes after `--`.
    for (script, code) in [("cat", 0), ("exit 7", 7)] {
        let mut installed = Command::new(&worker);
        installed.env_clear().env("PATH", env!("PATH")).env("EXECUTION_INPUT", "{\"a\":1}");
        let done = installed.args(["--", "sh", "-c", script, "install"]).output().unwrap();
        assert_eq!(done.status.code(), Some(code), "{}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(String::from_utf8_lossy(&done.stdout).trim(), if code == 0 { "{\"a\":1}" } else { "" });
    }
}

#[test]
fn a_directory_for_temporary_files_is_opened_to_every_user() {
    let (place, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::set_permissions(temporary.path(), Permissions::from_mode(0o755)).unwrap();
    let done = install(&[place.path(), Path::new("--temporary"), temporary.path()]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(mode(temporary.path()), 0o1777);
}

#[test]
fn an_installation_repeats_and_a_failed_one_says_why() {
    let place = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        assert!(install(&[place.path()]).status.success());
    }
    let absent = place.path().join("absent");
    let done = install(&[&absent]);
    assert_eq!(done.status.code(), Some(125));
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(told.contains("cannot write") && told.contains("absent/worker"), "{told}");
}
