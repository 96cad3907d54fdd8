//! Whose the store's layers are.

/// The user that the store's layers belong to when root makes them. Boxes run as
/// others (`keeper/users.rs`), who own no file of the machine at all, so an
/// escape lands nowhere.
pub(crate) const BOX_USER: u32 = 64_000;
