#!/usr/bin/env python3
"""Prints what oceanid is made of, on all its targets together: CycloneDX 1.5, from Cargo's own account."""

import datetime
import json
import os
import subprocess
import tomllib
import uuid

TARGETS = [
    "x86_64-unknown-linux-musl",
    "aarch64-unknown-linux-musl",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
]


def said(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def linked(target):
    """The crates that are linked into the program: Cargo's packages, and which need which."""
    command = ("cargo", "metadata", "--locked", "--format-version=1", "--filter-platform", target)
    metadata = json.loads(said(*command))
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = next(id for id in metadata["workspace_members"] if packages[id]["name"] == "oceanid")
    needs, todo = {}, [root]
    while todo:
        crate = todo.pop()
        if crate in needs:
            continue
        normal = lambda need: any(kind["kind"] is None for kind in need["dep_kinds"])
        needs[crate] = {need["pkg"] for need in nodes[crate]["deps"] if normal(need)}
        todo.extend(needs[crate])
    return root, {crate: packages[crate] for crate in needs}, needs


def name(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, sums):
    entry = {
        "type": "library",
        "bom-ref": name(package),
        "name": package["name"],
        "version": package["version"],
        "purl": name(package),
    }
    if package["description"]:
        entry["description"] = " ".join(package["description"].split())
    if package["license"]:
        entry["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if sum := sums.get((package["name"], package["version"])):
        entry["hashes"] = [{"alg": "SHA-256", "content": sum}]
    if package["repository"]:
        entry["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return entry


def main():
    with open("Cargo.lock", "rb") as lock:
        locked = tomllib.load(lock)["package"]
    sums = {(crate["name"], crate["version"]): crate.get("checksum") for crate in locked}
    packages, needs = {}, {}
    for target in TARGETS:
        root, more, edges = linked(target)
        packages.update(more)
        for crate, needed in edges.items():
            needs.setdefault(crate, set()).update(needed)
    ours = component(packages[root], sums) | {"type": "application"}
    others = [component(package, sums) for id, package in packages.items() if id != root]
    commit = os.environ.get("OCEANID_COMMIT") or said("git", "rev-parse", "HEAD")
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or said("git", "log", "-1", "--format=%ct"))
    moment = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc)
    rustc = said("rustc", "--version").split()[1]
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        # The same commit gives the same document.
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name(packages[root]) + '#' + commit)}",
        "version": 1,
        "metadata": {
            "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": ours,
            "properties": [
                {"name": "oceanid:commit", "value": commit},
                {"name": "oceanid:rustc", "value": rustc},
            ],
        },
        "components": sorted(others, key=lambda entry: entry["bom-ref"]),
        "dependencies": [
            {"ref": name(packages[crate]), "dependsOn": sorted({name(packages[need]) for need in needed})}
            for crate, needed in sorted(needs.items(), key=lambda edge: name(packages[edge[0]]))
        ],
    }
    print(json.dumps(bom, indent=1))


main()
