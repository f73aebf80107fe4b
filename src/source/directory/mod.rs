//! A directory of YAML files as a watch stream.
