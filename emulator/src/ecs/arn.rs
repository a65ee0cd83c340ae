//! The names and ARNs of clusters, task definitions and tasks.

use crate::identity::{ACCOUNT, REGION};

/// ARN of a cluster.
pub(super) fn cluster(name: &str) -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{name}")
}

/// ARN of a task.
pub(super) fn task(cluster: &str, id: &str) -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task/{cluster}/{id}")
}

/// ARN of a task's container.
pub(super) fn container(cluster: &str, task_id: &str, name: &str) -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:container/{cluster}/{task_id}/{name}")
}

/// ARN of a task definition.
pub(super) fn definition(family: &str, revision: i64) -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{family}:{revision}")
}

/// The part of an ARN after the last slash. A name without a slash is returned as it is.
pub(super) fn last_part(name_or_arn: &str) -> &str {
    name_or_arn.rsplit('/').next().unwrap_or(name_or_arn)
}

/// Whether this is the name or the ARN of the cluster.
pub(super) fn is_cluster(name_or_arn: &str, cluster_name: &str) -> bool {
    name_or_arn == cluster_name || name_or_arn == cluster(cluster_name)
}

/// The id of a task, from the id or the ARN of the task. `None` if it cannot be a task of this cluster.
pub(super) fn task_id<'a>(id_or_arn: &'a str, cluster_name: &str) -> Option<&'a str> {
    let id = last_part(id_or_arn);
    (id == id_or_arn || id_or_arn == task(cluster_name, id)).then_some(id)
}

/// The family, and the revision if there is one, of `family`, `family:revision` or an ARN that ends with either. `None` if the
/// text after the colon is not a revision.
pub(super) fn family_and_revision(named: &str) -> Option<(&str, Option<i64>)> {
    match last_part(named).split_once(':') {
        None => Some((last_part(named), None)),
        Some((family, revision)) => Some((family, Some(revision.parse().ok()?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_found_by_name_or_arn() {
        assert!(is_cluster("jobs", "jobs") && is_cluster(&cluster("jobs"), "jobs"));
        assert!(!is_cluster("default", "jobs") && !is_cluster(&cluster("default"), "jobs"));
        assert_eq!(task_id("abc", "jobs"), Some("abc"));
        assert_eq!(task_id(&task("jobs", "abc"), "jobs"), Some("abc"));
        assert_eq!(task_id(&task("other", "abc"), "jobs"), None);
        assert_eq!(family_and_revision("f"), Some(("f", None)));
        assert_eq!(family_and_revision("f:3"), Some(("f", Some(3))));
        assert_eq!(family_and_revision(&definition("f", 3)), Some(("f", Some(3))));
        assert_eq!(family_and_revision("f:x"), None);
    }
}
