//! Fields that are judged like all others, and that the workers don't carry out yet: refused for now.

const FIELDS: [(&str, &str); 1] = [("io.k8s.api.core.v1.PodSpec", "initContainers")];

/// Why a field of a type is refused for now, if it is.
pub(super) fn reason(type_name: &str, field: &str) -> Option<&'static str> {
    FIELDS.contains(&(type_name, field)).then_some(ONE_CONTAINER)
}

/// Why a Pod has no second container.
pub(super) const ONE_CONTAINER: &str = "a Pod has one container";
