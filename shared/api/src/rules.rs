//! The small rules that many fields share, in Kubernetes' words.

use crate::field::FieldError;
use crate::names;

pub(crate) fn not_negative(path: &str, value: Option<i64>, errors: &mut Vec<FieldError>) {
    if let Some(value) = value.filter(|value| *value < 0) {
        errors.push(FieldError::invalid(path, value, "must be greater than or equal to 0"));
    }
}

/// Reports a word that isn't one of those allowed.
pub(crate) fn one_of(
    path: &str,
    value: Option<&str>,
    allowed: &[&str],
    errors: &mut Vec<FieldError>,
) {
    if let Some(value) = value.filter(|value| !allowed.contains(value)) {
        errors.push(FieldError::not_supported(path, value, allowed));
    }
}

/// A DNS label that must be there, such as the name of a container.
pub(crate) fn label(path: &str, name: &str, errors: &mut Vec<FieldError>) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else if let Some(problem) = names::dns1123_label(name) {
        errors.push(FieldError::invalid(path, name, problem));
    }
}

/// The name of an object that must be there, such as that of a ConfigMap.
pub(crate) fn object_name(path: &str, name: &str, errors: &mut Vec<FieldError>) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else if let Some(problem) = names::dns1123_subdomain(name) {
        errors.push(FieldError::invalid(path, name, problem));
    }
}

/// A key of a ConfigMap or a Secret that must be there.
pub(crate) fn config_key(path: &str, key: &str, errors: &mut Vec<FieldError>) {
    if key.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else if let Some(problem) = names::config_map_key(key) {
        errors.push(FieldError::invalid(path, key, problem));
    }
}

/// A path that Docker can use: from the root, and without a way back up.
pub(crate) fn absolute(path: &str, value: &str, errors: &mut Vec<FieldError>) {
    if value.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else if !value.starts_with('/') {
        errors.push(FieldError::invalid(path, value, "must be an absolute path"));
    } else {
        no_way_up(path, value, errors);
    }
}

/// A path below a folder, without a way out of it.
pub(crate) fn descending(path: &str, value: &str, errors: &mut Vec<FieldError>) {
    if value.starts_with('/') {
        errors.push(FieldError::invalid(path, value, "must be a relative path"));
    }
    no_way_up(path, value, errors);
}

/// The path of a file in a volume that Longshore fills. Names that start with `..` are its own.
pub(crate) fn file_path(path: &str, value: &str, errors: &mut Vec<FieldError>) {
    if value.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    descending(path, value, errors);
    if value.starts_with("..") && !value.starts_with("../") {
        errors.push(FieldError::invalid(path, value, "must not start with '..'"));
    }
}

/// The permissions of a file.
pub(crate) fn file_mode(path: &str, mode: Option<i32>, errors: &mut Vec<FieldError>) {
    if let Some(mode) = mode.filter(|mode| !(0..=0o777).contains(mode)) {
        let text = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.push(FieldError::invalid(path, mode, text));
    }
}

/// Neither a way back up, nor the byte that ends a path for the kernel.
fn no_way_up(path: &str, value: &str, errors: &mut Vec<FieldError>) {
    if value.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid(path, value, "must not contain '..'"));
    }
    if value.contains('\0') {
        errors.push(FieldError::invalid(path, value, "must not contain a null byte"));
    }
}
