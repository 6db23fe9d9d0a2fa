//! install.sh and `oceanid self-update` against a server of small releases that does everything wrong; needs root.

mod breaks;
mod desk;
mod script;
mod self_update;
mod stock;
