//! Operating system services that need unsafe code or ioctls
