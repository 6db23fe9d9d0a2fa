#!/bin/sh
# Prints the version in Cargo.toml.
set -eu
cd "$(dirname "$0")/../.."
sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml
