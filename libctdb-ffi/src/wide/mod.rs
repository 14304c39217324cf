//! The wide interface.
