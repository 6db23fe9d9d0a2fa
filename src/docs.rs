//! The reference of cluster.toml's keys, made from the types.
