//! A host takes a step back by itself unless somebody logs in anew; needs root and the lab.

#[path = "../support/ground.rs"]
mod ground;
mod laws;
#[path = "../support/lab.rs"]
mod operator;
