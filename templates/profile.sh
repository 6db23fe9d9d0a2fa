# Laid down by oceanid: memory of a crashed process may hold secrets; it is not written to disk.
# shellcheck shell=dash
ulimit -c 0
