//! Forward against a cache.
